"""A rule set as a torch optimizer to train with, without the detour of a file."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from evosearch.language.rule import RuleSet

__all__ = ["to_optimizer"]


def to_optimizer(
    rules: RuleSet,
    *,
    name: str | None = None,
    lr: float | None = None,
    rest_lr: float | None = None,
    found: tuple[float | None, float | None] = (None, None),
) -> type[Optimizer]:
    """Return the class that `evosearch.export.export` writes for a rule set.

    The code that is executed is generated from the checked program alone, and its constants, so it
    is as safe as the op table.

    Args:
        rules: The rule set.
        name: What the class is named after; the rule by default.
        lr: Default learning rate; without it, as an exported file has it.
        rest_lr: Default learning rate of what is no hidden matrix.
        found: The best learning rates of a search, which the documentation states.
    """
    from evosearch.export import export

    source = export(rules, name=name, lr=lr, rest_lr=rest_lr, found=found)
    module = ModuleType(f"evosearch_{rules.name}")
    exec(compile(source, f"<{rules.name}>", "exec"), vars(module))
    (title,) = module.__all__
    return getattr(module, title)
