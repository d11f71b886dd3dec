"""Exported optimizers as classes."""

from __future__ import annotations

import sys
from types import ModuleType

from torch.optim import Optimizer

from evosearch.export import export
from evosearch.language.known import KNOWN
from evosearch.language.rule import RuleSet


def module_of(rules: RuleSet, **options) -> ModuleType:
    """Return the exported file as an imported module, which pickle can find again."""
    source = export(rules, **options)
    name = f"exported_{abs(hash((source,)))}"
    if name not in sys.modules:
        module = ModuleType(name)
        exec(compile(source, f"<{name}>", "exec"), module.__dict__)
        sys.modules[name] = module
    return sys.modules[name]


def optimizer_of(rules: RuleSet, **options) -> type[Optimizer]:
    """Return the class that the exported file defines."""
    module = module_of(rules, **options)
    return getattr(module, module.__all__[0])


FOLLOWED = [name for name in KNOWN if name not in ("soap", "soap_muon", "splus")]
"""Known optimizers whose updates no rounding turns around: on a tall matrix the bases of the others
hold directions of a null space, which are any."""
