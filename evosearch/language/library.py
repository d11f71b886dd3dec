"""The library's rows: all that is known of a known optimizer, in one place.

A row and a file of program text (`evosearch/language/programs/<name>.program`) make a known
optimizer; whatever a command, an export, a study or a test wants to know of it is derived from the
row. What a row cannot hold itself, because it lies on a higher floor, it names: the form that
recognizes it (`evosearch.recognize.forms.FORMS`) and the reference that it must follow. What a
baseline is tuned over lies higher, too (`evosearch.studies.baseline_families`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

__all__ = ["LIBRARY", "KnownOptimizer", "Reference", "Sought", "Use", "sought", "used_as"]


class Use(StrEnum):
    """What a known optimizer serves as, besides being known."""

    START = "where a rediscovery may begin"
    PROMOTION = "what a finalist has to beat"
    SCALE_TEST = "what every test at scale holds"


@dataclass(frozen=True)
class Reference:
    """An implementation that the program must follow, step for step."""

    path: str
    """Import path of a class or function that is called with parameters, a rate and `options`."""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Keyword arguments besides the rate."""
    tolerance: float = 1e-12
    """Largest relative difference of the weights over 100 steps in float64."""


@dataclass(frozen=True)
class Sought:
    """What counts as found when a search is to rediscover an optimizer."""

    relatives: tuple[str, ...] = ()
    """Known optimizers that count as its family."""
    without_decay: bool = False
    """Whether weight decay makes it a relative."""


@dataclass(frozen=True)
class KnownOptimizer:
    """One row of the library."""

    name: str
    """What commands call it, and its file."""
    title: str
    """What texts call it."""
    references: tuple[Reference, ...]
    """What it is tested against."""
    lr: float = 1e-3
    """The learning rate that its users expect as the default."""
    form: str = ""
    """The form that recognizes it with any constants; empty: only as it stands here."""
    class_name: str = ""
    """Name of its exported class, where that is not the capitalized words of its name."""
    sought: Sought | None = None
    """What counts as found, where a search can be asked to rediscover it."""
    uses: frozenset[Use] = frozenset()


_ROWS: Final = (
    KnownOptimizer(
        name="sgd",
        title="SGD",
        class_name="SGD",
        lr=0.1,
        form="linear",
        references=(Reference("torch.optim.SGD"),),
        uses=frozenset({Use.START}),
    ),
    KnownOptimizer(
        name="momentum",
        title="Momentum SGD",
        lr=0.1,
        form="linear",
        references=(Reference("torch.optim.SGD", {"momentum": 0.9}),),
        uses=frozenset({Use.START, Use.SCALE_TEST}),
    ),
    KnownOptimizer(
        name="nesterov",
        title="Nesterov SGD",
        lr=0.1,
        form="linear",
        references=(Reference("torch.optim.SGD", {"momentum": 0.9, "nesterov": True}),),
    ),
    KnownOptimizer(
        name="rmsprop",
        title="RMSProp",
        class_name="RMSprop",
        form="adaptive",
        references=(Reference("torch.optim.RMSprop", {"alpha": 0.99, "eps": 1e-8}),),
    ),
    KnownOptimizer(
        name="adam",
        title="Adam",
        form="adaptive",
        references=(Reference("torch.optim.Adam", {"betas": (0.9, 0.999), "eps": 1e-8}),),
    ),
    KnownOptimizer(
        name="adamw",
        title="AdamW",
        class_name="AdamW",
        form="adaptive",
        references=(Reference("torch.optim.AdamW", {"betas": (0.9, 0.999), "weight_decay": 0.01}),),
        uses=frozenset({Use.START, Use.PROMOTION, Use.SCALE_TEST}),
    ),
    KnownOptimizer(
        name="signsgd",
        title="signSGD",
        class_name="SignSGD",
        form="sign",
        references=(Reference("reference_optimizers.SignSGD"),),
    ),
    KnownOptimizer(
        name="signum",
        title="Signum",
        lr=1e-4,
        form="sign",
        references=(Reference("reference_optimizers.Signum", {"momentum": 0.9}),),
    ),
    KnownOptimizer(
        name="lion",
        title="Lion",
        lr=1e-4,
        form="sign",
        references=(Reference("lion_pytorch.Lion", {"betas": (0.9, 0.99), "weight_decay": 0.0}),),
        sought=Sought(relatives=("signum",)),
        uses=frozenset({Use.PROMOTION, Use.SCALE_TEST}),
    ),
    KnownOptimizer(
        name="muon",
        title="Muon",
        lr=0.02,
        form="orthogonal",
        references=(
            Reference("muon.SingleDeviceMuon", {"momentum": 0.95}, tolerance=1e-6),
            Reference("torch.optim.Muon", {"momentum": 0.95, "weight_decay": 0.0}, tolerance=1e-6),
        ),
        sought=Sought(without_decay=True),
        uses=frozenset({Use.PROMOTION, Use.SCALE_TEST}),
    ),
)

LIBRARY: Final[Mapping[str, KnownOptimizer]] = MappingProxyType({row.name: row for row in _ROWS})
"""The known optimizers by name, simplest first."""


def used_as(use: Use) -> tuple[str, ...]:
    """Return the names of the known optimizers that serve as something, simplest first."""
    return tuple(name for name, row in LIBRARY.items() if use in row.uses)


def sought() -> tuple[str, ...]:
    """Return the names of the known optimizers that a search can be asked to rediscover."""
    return tuple(name for name, row in LIBRARY.items() if row.sought is not None)
