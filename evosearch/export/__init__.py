"""Export: a rule set as a file for people who never heard of this project.

    export        a torch.optim.Optimizer in one file that imports torch alone
    export_optax  the same as an optax gradient transformation
    export_text   the program itself
    export_latex  the recurrence as LaTeX
    export_json   the program and its constants as data

`hyper` finds which constants are hyperparameters and what the field calls them, `dataflow` numbers
a rule's values, `lists` writes a rule over lists of tensors, and the `*_file` modules put a file
together. Each writer is a pure function of its arguments: the same program gives the same bytes.
"""

from evosearch.export.latex_file import export_latex
from evosearch.export.optax_file import export_optax
from evosearch.export.plain_file import export_json, export_text
from evosearch.export.torch_file import export

__all__ = ["export", "export_json", "export_latex", "export_optax", "export_text"]
