"""Which parameters of a model are hidden matrices: by the modules they are in, not by their shapes.

A rule for hidden matrices, such as Muon's, is wrong for embeddings and for the head, and no shape
tells a head of 1,000 classes from a hidden layer.
"""

from __future__ import annotations

from torch import nn

__all__ = ["split_parameters"]

_NO_MATRICES = (nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.RMSNorm)


def split_parameters(
    model: nn.Module, head: nn.Module | None = None
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Split a model's parameters into (hidden matrices, all others).

    Hidden matrices are weights of two or more dimensions: of linear layers, convolutions, attention
    and recurrent cells. The others are embeddings, norms, biases, parameters that are no weight (a
    table of positions, a class token), the head, and what is tied to any of these.

    Use it with one optimizer or with two:

        hidden, others = split_parameters(model)
        Muon([{"params": hidden, "use_matrix_rule": True},
              {"params": others, "use_matrix_rule": False, "lr": 3e-4}])
        Muon(hidden, lr=0.02), torch.optim.AdamW(others, lr=3e-4)

    Args:
        model: the model; parameters that need no gradient are left out.
        head: the module that makes the outputs. By default, the last one in the order of
            registration that has a weight matrix.
    """
    weights = [
        (module, p)
        for module in model.modules()
        for name, p in module.named_parameters(recurse=False)
        if p.ndim > 1 and "weight" in name
    ]
    last = weights[-1][0] if head is None and weights else head
    excluded = {p for module, p in weights if module is last or isinstance(module, _NO_MATRICES)}
    hidden = {p for _, p in weights if p not in excluded}
    trained = [p for p in model.parameters() if p.requires_grad]
    return [p for p in trained if p in hidden], [p for p in trained if p not in hidden]
