"""The sections of a configuration: what each key means, its default and its range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from evosearch.config.overrides import member
from evosearch.errors import ConfigError

if TYPE_CHECKING:
    from evosearch.mutation.space import Space
    from evosearch.training.lr_grid import Grid

__all__ = [
    "BaselineConfig",
    "BudgetConfig",
    "CalibrationConfig",
    "ConstantsConfig",
    "EliteConfig",
    "EvaluationConfig",
    "Factor",
    "HurdleConfig",
    "PopulationConfig",
    "Section",
    "SpaceConfig",
    "TierConfig",
    "foresight",
]

Positive = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Factor = Annotated[float, Field(gt=0.0)]
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]


class Section(BaseModel):
    """Frozen, without keys it does not know, and finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SpaceConfig(Section):
    """What programs may say."""

    ops: tuple[str, ...] = ()
    """Names of ops; empty means all that a search draws by default (`primitives.op.Op.drawn`)."""
    max_statements: Positive = 24
    max_states: Annotated[int, Field(ge=0)] = 2
    spare_states: Annotated[int, Field(ge=0)] = 0
    """States that a program may have beyond those, while they have no effect on its updates."""
    max_cost: Factor | None = None
    """Floating-point operations for each entry that an update of a 64 x 64 matrix may take; `show`
    says it of a program. AdamW takes 18, Muon 1,952; nothing is refused unless it is set."""
    scope: Literal["both", "matrix", "single"] = "both"
    """Which rules may change: both, the matrices' alone, or a single one that serves everything."""
    edits: tuple[str, ...] = ()
    """Names of mutations; empty means those that a search draws by default
    (`evosearch.mutation.edits.EDITS`)."""
    frequencies: Mapping[str, Annotated[float, Field(ge=0.0)]] = {}
    """How often mutations are drawn, by name, where it is not as the table of edits says."""
    by_family: bool = False
    """Whether an op is drawn by its family first; otherwise all ops are equally likely."""
    donors: tuple[str, ...] = ()
    """Whose parts grafts put in: names of known optimizers, `library` for all of them, `elites` for
    the run's own best programs for their size."""

    @field_validator("edits")
    @classmethod
    def _known_edits(cls, edits: tuple[str, ...]) -> tuple[str, ...]:
        from evosearch.mutation.edits import EDITS

        return tuple(member("mutation", name, EDITS) for name in edits)

    @field_validator("frequencies")
    @classmethod
    def _known_frequencies(cls, frequencies: Mapping[str, float]) -> Mapping[str, float]:
        from evosearch.mutation.edits import EDITS

        return {member("mutation", name, EDITS): f for name, f in frequencies.items()}

    @field_validator("donors")
    @classmethod
    def _known_donors(cls, donors: tuple[str, ...]) -> tuple[str, ...]:
        from evosearch.language.known import KNOWN
        from evosearch.mutation.space import ELITES, LIBRARY

        return tuple(member("donor", name, (*KNOWN, LIBRARY, ELITES)) for name in donors)

    @field_validator("ops")
    @classmethod
    def _known_ops(cls, ops: tuple[str, ...]) -> tuple[str, ...]:
        from primitives.table import OPS

        return tuple(member("op", name, OPS) for name in ops)

    def space(self) -> Space:
        """Return the space itself."""
        from evosearch.mutation.space import Space

        fields: dict[str, Any] = dict(self)
        fields["frequencies"] = tuple(self.frequencies.items())
        space = Space(**fields)
        return space if self.ops else replace(space, ops=Space.ops)


class TierConfig(Section):
    """Tasks that are tried together; only candidates that do well enter the next tier."""

    tasks: Annotated[tuple[str, ...], Field(min_length=1)]

    @field_validator("tasks")
    @classmethod
    def _known_tasks(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        from proxy_tasks.registry import TASKS

        try:
            return tuple(member("task", name, TASKS) for name in tasks)
        except ConfigError as error:
            raise ConfigError(
                f"{error}; a task of your own is known by its file: --tasks my_task.py"
            ) from None


class EvaluationConfig(Section):
    """How a candidate, or a baseline, gets its learning rates and its score on a task."""

    seeds: Positive = 2
    """Paired seeds of one evaluation."""
    rates: Annotated[int, Field(ge=3)] = 5
    """Learning rates at first, half a decade apart, around the candidate's own update size."""
    ratios: Annotated[tuple[Factor, ...], Field(min_length=1)] = (0.3, 1.0, 3.0)
    """How far what is no hidden matrix moves, relative to the matrices; increasing."""
    extensions: Annotated[int, Field(ge=0)] = 2
    """How often the grid grows where its best point lies at the edge, or is refined around it."""
    refine: Annotated[int, Field(ge=0, le=3)] = 0
    """How often the step between learning rates is halved around the best, where `extensions` are
    left once it lies inside."""

    @field_validator("ratios")
    @classmethod
    def _increasing(cls, ratios: tuple[float, ...]) -> tuple[float, ...]:
        if any(a >= b for a, b in pairwise(ratios)):
            raise ValueError(f"expected increasing numbers, found {list(ratios)}")
        return ratios

    def grid(self) -> Grid:
        """Return the grid of learning rates."""
        from evosearch.training.lr_grid import Grid

        return Grid(
            rates=self.rates,
            ratios=self.ratios,
            extensions=self.extensions,
            refine=self.refine,
        )


class ConstantsConfig(Section):
    """AdamW's constants."""

    betas: tuple[Decay, Decay]
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    warmup: Annotated[float, Field(ge=0.0)] = 0.0
    """Steps of linear warm-up."""


class BaselineConfig(Section):
    """AdamW, which scores refer to: its learning rates come from a grid as candidates' do."""

    constants: Mapping[str, ConstantsConfig] = {}
    """By task, the constants that tuning chose, once and for all runs;
    `python -m evosearch.studies.baseline_constants` prints them. Where a task has none, the best
    of those below is taken."""
    betas: Annotated[tuple[tuple[Decay, Decay], ...], Field(min_length=1)] = (
        (0.9, 0.999),
        (0.9, 0.95),
        (0.8, 0.99),
        (0.5, 0.98),
        (0.5, 0.999),
    )
    weight_decay: Annotated[tuple[Annotated[float, Field(ge=0.0)], ...], Field(min_length=1)] = (
        0.0,
        0.01,
    )

    def programs(self, task: str) -> tuple[str, ...]:
        """Return the programs of which the best on a task is its baseline."""
        from evosearch.training.baseline import adamw

        if known := self.constants.get(task):
            return (adamw(known.betas, known.weight_decay, known.warmup),)
        return tuple(adamw(b, d) for d in self.weight_decay for b in self.betas)


class CalibrationConfig(Section):
    """How well a preset's scores foretell what is known at scale, by `evosearch calibrate`."""

    decided: tuple[int, int]
    """Of the pairs of known optimizers that published tests decide: how many the scores order
    rightly with families left out, and how many there are."""
    hard: tuple[int, int]
    """Of those within a family."""
    spearman: float
    """Rank correlation with the order at scale, families left out."""
    interval: tuple[float, float]
    """Its 95 % interval."""

    @property
    def text(self) -> str:
        """The figures in words."""
        (right, decided), (hard_right, hard) = self.decided, self.hard
        low, high = self.interval
        return (
            f"these scores order {right} of {decided} pairs of known optimizers as tests at scale "
            f"do ({hard_right} of {hard} within a family); rank correlation {self.spearman:.2f}, "
            f"95 % interval {low:.2f} to {high:.2f}"
        )


def foresight(calibration: CalibrationConfig | Mapping[str, Any] | None) -> str:
    """Return in words what a configuration's scores foretell, from its section `calibration`."""
    if calibration is None:
        return "these scores were not calibrated: what they foretell at scale is not known"
    return CalibrationConfig.model_validate(calibration).text


class PopulationConfig(Section):
    """Regularized evolution."""

    size: Positive = 64
    """Individuals of an island; the oldest leaves."""
    warmup: Positive = 12
    """Members an island needs before tournaments choose; until then all descend from the start."""
    tournament: Positive = 4
    crossover: Fraction = 0.1
    """How often there is a second parent, which gives its rule for the rest."""
    recombination: Fraction = 0.0
    """How often the second parent gives a slice of its rule for matrices instead; always where the
    rest's rule may not change."""
    front: Fraction = 0.3
    """How often the parent is one that nothing of its size or smaller beats, a large one more often
    than a small one, which has fewer neighbours; simple programs that are good for their size are
    where good programs start."""
    archive: Fraction = 0.0
    """How often the parent is the best of a niche, which is a cost and a state memory, all niches
    alike: what is cheap is bred from as well as what is best."""
    tuning: Fraction = 0.2
    """How often a proposal changes nothing but the constants of a promising form."""
    fatigue: Factor = 0.1
    """Score that each trial of constants which failed since the form's best counts against it."""
    cores: Fraction = 0.5
    """How often a parent breeds without its redundant statements."""
    drift: Fraction = 0.5
    """How often an edit that changed nothing is built upon instead of thrown away."""
    patience: Positive = 400
    """Commits without a better best after which an island restarts from its best."""
    by_size: bool = False
    """Whether new forms are enumerated, shortest first, instead of bred: a control. Parents,
    islands and edits play no part then; constants of promising forms are tuned as ever."""
    islands: Positive = 1
    migrate_every: Positive = 50
    """Packs between migrations."""


class HurdleConfig(Section):
    """Successive halving."""

    promote: Fraction = 0.35
    """Share of candidates that enter the next tier."""
    warmup: Positive = 24
    """Scores on a tier that are needed to rank a new one among them."""
    initial: float = 0.0
    """Score that stands in for the rank until then; 0 is AdamW's."""


class EliteConfig(Section):
    """Re-evaluation of the best on fresh seeds, so that a lucky score does not survive."""

    count: Positive = 6
    """How many of the best are kept under re-evaluation."""
    every: Annotated[int, Field(ge=2)] = 6
    """One pack in so many is a re-evaluation."""
    rounds: Positive = 3
    """Independent evaluations until a score counts as confirmed, the first included."""
    final: Positive = 8
    """How many of the best are confirmed before the search ends."""
    front: bool = True
    """Whether the front of score, size and state memory is confirmed as well."""


class BudgetConfig(Section):
    """How much is tried, and in what portions."""

    evaluations: Positive = 600
    """Candidates to evaluate; re-evaluations of elites come on top."""
    pack: Positive = 6
    """Candidates in a pack."""
    window: Positive = 4
    """Packs in flight: how many results a proposal may lag behind. At least the workers."""
    seconds_per_pack: Factor = 600.0
    """Deadline of one pack on a worker."""
