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

__all__ = ["IDEAS", "LIBRARY", "KnownOptimizer", "Reference", "Sought", "Use", "sought", "used_as"]


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
        sought=Sought(relatives=("adamw",), without_decay=True),
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
        sought=Sought(relatives=("signum", "tiger")),
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
    KnownOptimizer(
        name="amsgrad",
        title="AMSGrad",
        class_name="AMSGrad",
        references=(Reference("torch.optim.Adam", {"amsgrad": True}),),
    ),
    KnownOptimizer(
        name="adabelief",
        title="AdaBelief",
        class_name="AdaBelief",
        references=(Reference("pytorch_optimizer.AdaBelief", {"eps": 1e-16}),),
    ),
    KnownOptimizer(
        name="yogi",
        title="Yogi",
        references=(Reference("pytorch_optimizer.Yogi"),),
    ),
    KnownOptimizer(
        name="laprop",
        title="LaProp",
        class_name="LaProp",
        references=(Reference("reference_optimizers.LaProp", {"betas": (0.9, 0.999)}),),
    ),
    KnownOptimizer(
        name="adopt",
        title="ADOPT",
        class_name="ADOPT",
        references=(Reference("pytorch_optimizer.ADOPT"),),
    ),
    KnownOptimizer(
        name="radam",
        title="RAdam",
        class_name="RAdam",
        references=(Reference("torch.optim.RAdam", tolerance=1e-8),),
    ),
    KnownOptimizer(
        name="nadamw",
        title="NAdamW",
        class_name="NAdamW",
        references=(
            Reference(
                "torch.optim.NAdam",
                {"decoupled_weight_decay": True, "weight_decay": 0.01},
                tolerance=1e-7,  # it keeps the product of momenta in float32
            ),
        ),
    ),
    KnownOptimizer(
        name="adan",
        title="Adan",
        references=(Reference("pytorch_optimizer.Adan"),),
    ),
    KnownOptimizer(
        name="ademamix",
        title="AdEMAMix",
        class_name="AdEMAMix",
        references=(Reference("pytorch_optimizer.AdEMAMix"),),
    ),
    KnownOptimizer(
        name="cautious_adamw",
        title="Cautious AdamW",
        class_name="CautiousAdamW",
        references=(
            Reference(
                "reference_optimizers.CautiousAdamW", {"betas": (0.9, 0.999), "weight_decay": 0.01}
            ),
        ),
    ),
    KnownOptimizer(
        name="mars_adamw",
        title="MARS-AdamW",
        class_name="MarsAdamW",
        references=(
            Reference(
                "reference_optimizers.MarsAdamW",
                {"betas": (0.95, 0.99), "gamma": 0.025, "weight_decay": 0.01},
            ),
        ),
    ),
    KnownOptimizer(
        name="lookahead",
        title="Lookahead",
        references=(Reference("reference_optimizers.LookaheadAdam", tolerance=1e-9),),
    ),
    KnownOptimizer(
        name="schedulefree_adamw",
        title="Schedule-Free AdamW",
        class_name="ScheduleFreeAdamW",
        references=(Reference("pytorch_optimizer.ScheduleFreeAdamW", tolerance=1e-9),),
    ),
    KnownOptimizer(
        name="sophia",
        title="Sophia (secant)",
        references=(Reference("reference_optimizers.SecantSophia", tolerance=1e-9),),
    ),
    KnownOptimizer(
        name="tiger",
        title="Tiger",
        form="sign",
        references=(Reference("pytorch_optimizer.Tiger", {"beta": 0.965, "weight_decay": 0.01}),),
    ),
    KnownOptimizer(
        name="addsign",
        title="AddSign",
        class_name="AddSign",
        references=(Reference("reference_optimizers.AddSign"),),
    ),
    KnownOptimizer(
        name="powersign",
        title="PowerSign",
        class_name="PowerSign",
        references=(Reference("reference_optimizers.PowerSign"),),
    ),
    KnownOptimizer(
        name="lamb",
        title="LAMB",
        class_name="LAMB",
        references=(
            Reference("reference_optimizers.Lamb", {"betas": (0.9, 0.999), "weight_decay": 0.01}),
        ),
    ),
    KnownOptimizer(
        name="lars",
        title="LARS",
        class_name="LARS",
        lr=1.0,
        references=(Reference("pytorch_optimizer.LARS", {"weight_decay": 0.01, "momentum": 0.9}),),
    ),
    KnownOptimizer(
        name="prodigy",
        title="Prodigy (per matrix)",
        lr=1.0,
        references=(
            Reference(
                "reference_optimizers.ProdigyPerMatrix", {"betas": (0.9, 0.999)}, tolerance=1e-9
            ),
        ),
    ),
    KnownOptimizer(
        name="adafactor",
        title="Adafactor",
        references=(Reference("torch.optim.Adafactor"),),
    ),
    KnownOptimizer(
        name="came",
        title="CAME",
        class_name="CAME",
        references=(Reference("pytorch_optimizer.CAME", tolerance=1e-10),),
    ),
    KnownOptimizer(
        name="adam_mini",
        title="Adam-mini",
        references=(Reference("reference_optimizers.AdamMini", {"betas": (0.9, 0.999)}),),
    ),
    KnownOptimizer(
        name="scale",
        title="SCALE",
        references=(Reference("reference_optimizers.ColumnNormalized"),),
    ),
    KnownOptimizer(
        name="moonlight_muon",
        title="Moonlight's Muon",
        form="orthogonal",
        references=(
            Reference("reference_optimizers.MoonlightMuon", {"weight_decay": 0.1}, tolerance=1e-6),
        ),
    ),
    KnownOptimizer(
        name="normuon",
        title="NorMuon",
        class_name="NorMuon",
        lr=0.02,
        references=(Reference("reference_optimizers.NorMuon", tolerance=1e-6),),
    ),
    KnownOptimizer(
        name="adamuon",
        title="AdaMuon",
        class_name="AdaMuon",
        references=(Reference("reference_optimizers.AdaMuon", tolerance=1e-6),),
    ),
    KnownOptimizer(
        name="muon_h",
        title="MuonH",
        class_name="MuonH",
        lr=0.01,
        references=(Reference("reference_optimizers.MuonH", tolerance=1e-6),),
    ),
    KnownOptimizer(
        name="adam_h",
        title="AdamH",
        class_name="AdamH",
        lr=0.01,
        references=(Reference("reference_optimizers.AdamH"),),
    ),
    KnownOptimizer(
        name="ema_nesterov_muon",
        title="EMA-Nesterov Muon",
        lr=0.02,
        references=(Reference("reference_optimizers.EmaNesterovMuon", tolerance=1e-6),),
    ),
    KnownOptimizer(
        name="contra_muon",
        title="Contra-Muon",
        lr=0.02,
        references=(Reference("reference_optimizers.ContraMuon", tolerance=1e-6),),
    ),
    KnownOptimizer(
        name="scion",
        title="Scion",
        references=(Reference("reference_optimizers.Scion", tolerance=1e-6),),
    ),
    KnownOptimizer(
        name="orthogonal_sgdm",
        title="Orthogonal-SGDM",
        class_name="OrthogonalSGDM",
        references=(Reference("reference_optimizers.OrthogonalSGDM", tolerance=1e-9),),
    ),
    KnownOptimizer(
        name="polargrad",
        title="PolarGrad",
        class_name="PolarGrad",
        references=(Reference("reference_optimizers.PolarGrad", tolerance=1e-9),),
    ),
    KnownOptimizer(
        name="shampoo",
        title="Shampoo",
        references=(Reference("reference_optimizers.Shampoo", tolerance=1e-3),),
    ),
    KnownOptimizer(
        name="kron",
        title="Kron (expectation)",
        references=(Reference("reference_optimizers.ExpectedKron"),),
    ),
    KnownOptimizer(
        name="soap",
        title="SOAP",
        class_name="SOAP",
        references=(Reference("reference_optimizers.Soap", tolerance=1e-9),),
    ),
    KnownOptimizer(
        name="soap_muon",
        title="SOAP-Muon",
        lr=0.02,
        references=(Reference("reference_optimizers.SoapMuon", tolerance=1e-6),),
    ),
    KnownOptimizer(
        name="splus",
        title="SPlus",
        class_name="SPlus",
        references=(Reference("reference_optimizers.SPlus", tolerance=1e-9),),
    ),
)

LIBRARY: Final[Mapping[str, KnownOptimizer]] = MappingProxyType({row.name: row for row in _ROWS})
"""The known optimizers by name, simplest first."""


def used_as(use: Use) -> tuple[str, ...]:
    """Return the names of the known optimizers that serve as something, simplest first."""
    return tuple(name for name, row in LIBRARY.items() if use in row.uses)


IDEAS: Final = ("orthogonalization", "preconditioner")
"""What a search can be asked to find besides known optimizers; docs/adr/0014 says what they are."""


def sought() -> tuple[str, ...]:
    """Return the names of what a search can be asked to find, known optimizers first."""
    return (*(name for name, row in LIBRARY.items() if row.sought is not None), *IDEAS)
