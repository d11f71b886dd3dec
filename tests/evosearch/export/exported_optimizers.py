"""Exported optimizers as classes."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from torch.optim import Optimizer

from evosearch.export import export
from evosearch.language.known import known
from evosearch.language.library import LIBRARY
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


BASES = ("soap", "soap_muon", "splus")
"""Of an oblong matrix their bases hold directions of a null space, which rounding turns around."""

SUBJECTS = [
    pytest.param(known(name), marks=() if LIBRARY[name].form else pytest.mark.slow)
    for name in LIBRARY
]
"""Known optimizers as parameters of tests; those without a form take minutes together."""
