"""The tuner: one way to tune whatever is compared, so that nobody has more freedom than another.

Coordinate descent from the textbook's constants: the best point so far has its neighbours tried,
along the learning rate, the ratio of the rest's rate to it, and every constant that may be tuned,
until none of them is better or the allowance of trials is spent. Everybody has the same allowance.
Each axis continues beyond its list, so the best of a finished descent has neighbours on all sides;
where trials ran out before, the axes that still have an untried one are named as edges. A constant
of a rule that has no parameters on a task is no axis there.

"Tuned" is said of what comes out of here and of nothing else. Constants and rates are chosen on
seeds of their own; the values that are reported are of other seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from evosearch.training.batching import train_entries
from evosearch.training.evaluate import compile_text
from evosearch.training.job import TaskRef
from evosearch.training.lanes import Entry, LearningRates, arithmetic
from evosearch.training.lr_grid import UpdateSize, measure
from evosearch.training.optimizer_class import OptimizerClass
from evosearch.training.score import log_excess
from evosearch.training.seeds import evaluation_seed
from evosearch.training.tunable import Tunable
from evosearch.training.update import UpdateRules
from proxy_tasks.registry import get
from proxy_tasks.task import Task

__all__ = [
    "Attempt",
    "Descent",
    "Place",
    "Tuned",
    "TuningJob",
    "TuningSpace",
    "level",
    "read_optimizer",
    "tune",
]

_FINE: Final = math.sqrt(2.0)
"""A learning rate's smallest step."""
_COARSE: Final = 3
"""Small steps in a large one: a factor of 2.8."""
_OPENING: Final = (-2, -1, 0, 1, 2)
"""Large steps from the centre that are tried first."""
_RATIO: Final = 3.0
"""Step of the ratio between how far the rest and the hidden matrices move."""

Place = tuple[int, ...]
"""Positions of the learning rate, the ratio and each constant; the start is 0, 0 and the firsts."""


@dataclass(frozen=True)
class Descent:
    """How far tuning goes, the same for everybody."""

    trials: int = 64
    """Points that may be tried."""
    fine: bool = False
    """Whether learning rates are refined to a factor of the square root of 2 in the end."""

    def ahead(
        self, tunable: Tunable, tried: Mapping[Place, float], *, ratio: bool
    ) -> tuple[Place, ...]:
        """Return the points to try next; empty once nothing is left or allowed.

        Args:
            tunable: Gives the constants.
            tried: Levels of the points so far; less is better.
            ratio: Whether the task has matrices and a rest, hence a ratio.
        """
        if not tried:
            firsts = tuple(axis.first for axis in tunable.axes)
            return tuple((k * _COARSE, 0, *firsts) for k in _OPENING)[: self.trials]
        room = max(0, self.trials - len(tried))
        return tuple(place for place, _ in self._open(tunable, tried, ratio=ratio))[:room]

    def edges(
        self, tunable: Tunable, tried: Mapping[Place, float], *, ratio: bool
    ) -> tuple[str, ...]:
        """Return the names of the axes along which the best has an untried neighbour."""
        return tuple(dict.fromkeys(axis for _, axis in self._open(tunable, tried, ratio=ratio)))

    def _open(
        self, tunable: Tunable, tried: Mapping[Place, float], *, ratio: bool
    ) -> list[tuple[Place, str]]:
        """Return the untried neighbours of the best point, each with its axis."""
        best = min(tried, key=lambda place: tried[place])
        refined = any(place[0] % _COARSE for place in tried)
        names = ("learning rate", "ratio", *(axis.name for axis in tunable.axes))
        around = [_neighbours(best, k, 1) for k in range(len(names))]
        around[1] = around[1] if ratio else []
        coarse = [_neighbours(best, 0, _COARSE), *around[1:]]
        found = _untried(coarse, names, tunable, tried)
        if self.fine and (refined or not found):
            found = _untried(around, names, tunable, tried)
        return found


def _neighbours(place: Place, axis: int, step: int) -> list[Place]:
    return [(*place[:axis], place[axis] + way, *place[axis + 1 :]) for way in (-step, step)]


def _untried(
    around: Sequence[Sequence[Place]],
    names: Sequence[str],
    tunable: Tunable,
    tried: Mapping[Place, float],
) -> list[tuple[Place, str]]:
    return [
        (place, name)
        for name, places in zip(names, around, strict=True)
        for place in places
        if place not in tried and tunable.values(place[2:]) is not None
    ]


@dataclass(frozen=True)
class TuningSpace:
    """An optimizer on a task: what the points of a descent stand for."""

    tunable: Tunable
    """Its axes that act on the task."""
    size: UpdateSize
    """Of its update at the start. Constants move at the same learning rate, because a size that is
    measured over a few steps is not that of a long memory."""
    step_size: float
    """The task's."""

    @classmethod
    def of(cls, optimizer: Tunable, task: Task) -> TuningSpace:
        """Measure an optimizer's update.

        Raises:
            ArithmeticError, RuntimeError: Its update raised.
        """
        size = measure(read_optimizer(optimizer.start), task)
        matrix, rest = size.matrix is not None, size.rest is not None
        return cls(optimizer.on(matrix=matrix, rest=rest), size, task.step_size)

    @property
    def ratio(self) -> bool:
        """Whether there is a ratio, because the task has matrices and a rest."""
        return self.size.matrix is not None and self.size.rest is not None

    def text(self, place: Place) -> str:
        """Return program text at a point; none of its axes has ended there."""
        text = self.tunable.text(place[2:])
        assert text is not None
        return text

    def constants(self, place: Place) -> tuple[float, ...]:
        """Return the value of each axis at a point; none has ended there."""
        values = self.tunable.values(place[2:])
        assert values is not None
        return values

    def rates(self, place: Place) -> LearningRates:
        """Return the learning rates at a point."""
        size, step = self.size, self.step_size * _FINE ** place[0]
        return LearningRates(
            matrix=0.0 if size.matrix is None else step / size.matrix,
            rest=0.0 if size.rest is None else _RATIO ** place[1] * step / size.rest,
        )

    def ahead(self, descent: Descent, tried: Mapping[Place, float]) -> tuple[Place, ...]:
        """Return the points that a descent tries next."""
        return descent.ahead(self.tunable, tried, ratio=self.ratio)

    def edges(self, descent: Descent, tried: Mapping[Place, float]) -> tuple[str, ...]:
        """Return the axes along which a descent has not looked beside its best point."""
        return descent.edges(self.tunable, tried, ratio=self.ratio)


def level(values: Sequence[float], floor: float) -> float:
    """Return what a descent makes least: the mean log excess of end values, finite for all."""
    return sum(log_excess(value, floor) for value in values) / len(values)


@dataclass(frozen=True)
class TuningJob:
    """An optimizer to tune on a task and to report."""

    optimizer: Tunable
    task: TaskRef
    run_seed: int
    tuning: tuple[int, ...]
    """Replicates that constants and rates are chosen on."""
    reporting: tuple[int, ...]
    """Replicates that the result is of; none of them took part in the choice."""
    descent: Descent = field(default_factory=Descent)

    def __post_init__(self) -> None:
        if not self.tuning or not self.reporting or set(self.tuning) & set(self.reporting):
            raise ValueError(
                f"tuning on replicates {self.tuning} and reporting {self.reporting}; expected "
                "some of each, and none in both"
            )


@dataclass(frozen=True)
class Attempt:
    """A trial of a descent."""

    program: str
    constants: tuple[float, ...]
    """The value of each axis."""
    lr: float
    """Learning rate of the hidden matrices; of all parameters where a task has no such matrix."""
    rest_lr: float
    level: float
    """Mean log excess on the tuning seeds."""


@dataclass(frozen=True)
class Tuned:
    """An optimizer as tuned on a task."""

    task: str
    floor: float
    """What no optimizer can get below on the task."""
    seeds: tuple[int, ...]
    """The reporting seeds."""
    values: tuple[float, ...]
    """End values on them; infinite where it diverged."""
    trials: tuple[Attempt, ...]
    best: int
    edges: tuple[str, ...]
    """Axes at whose edge the best lies, because trials ran out."""
    failure: str = ""
    """Why it has no values; empty where it has."""

    @property
    def attempt(self) -> Attempt:
        """The trial that was chosen."""
        return self.trials[self.best]


def tune(job: TuningJob, device: str = "cpu") -> Tuned:
    """Tune an optimizer on some seeds and train the best trial on the others.

    An optimizer that fails gets no values, and the reason.
    """
    task = get(job.task.name, **job.task.overrides)
    with arithmetic():
        return _Tuning(job, task, device).run()


class _Tuning:
    """One descent."""

    def __init__(self, job: TuningJob, task: Task, device: str) -> None:
        self._job, self._task, self._device = job, task, device
        self._rules: dict[str, UpdateRules | OptimizerClass] = {}

    def run(self) -> Tuned:
        job, key, floor = self._job, str(self._job.task), self._task.floor
        seeds = tuple(self._seeds(job.reporting))
        try:
            space = TuningSpace.of(job.optimizer, self._task)
        except Exception as error:  # a class may raise anything; a failure is its result
            return Tuned(key, floor, seeds, (), (), 0, (), f"{type(error).__name__}: {error}")
        if space.size.degenerate:
            return Tuned(key, floor, seeds, (), (), 0, (), "its update is zero or not finite")
        levels: dict[Place, float] = {}
        while ahead := space.ahead(job.descent, levels):
            for place, values in zip(ahead, self._train(space, ahead, job.tuning), strict=True):
                levels[place] = level(values, floor)
        best = min(levels, key=lambda place: levels[place])
        (values,) = self._train(space, (best,), job.reporting)
        failure = "" if any(map(math.isfinite, values)) else "no finite value"
        return Tuned(
            key,
            floor,
            seeds,
            () if failure else tuple(values),
            tuple(_attempt(space, place, found) for place, found in levels.items()),
            list(levels).index(best),
            space.edges(job.descent, levels),
            failure,
        )

    def _train(
        self, space: TuningSpace, places: Sequence[Place], replicates: Sequence[int]
    ) -> list[list[float]]:
        """Return the end values of each point on these replicates; infinite where one failed."""
        seeds = self._seeds(replicates)
        groups: dict[str, list[Place]] = {}
        for place in places:
            groups.setdefault(space.text(place), []).append(place)
        entries = [
            Entry(self._read(text), tuple(map(space.rates, group)))
            for text, group in groups.items()
        ]
        found: dict[Place, list[float]] = {}
        trained = train_entries(self._task, seeds, entries, self._device)
        for group, values in zip(groups.values(), trained, strict=True):
            lost = [[math.inf] * len(seeds)] * len(group)
            rows = lost if isinstance(values, Exception) else values.tolist()
            for place, row in zip(group, rows, strict=True):
                found[place] = [v if math.isfinite(v) else math.inf for v in row]
        return [found[place] for place in places]

    def _seeds(self, replicates: Sequence[int]) -> list[int]:
        job = self._job
        return [evaluation_seed(job.run_seed, str(job.task), r) for r in replicates]

    def _read(self, text: str) -> UpdateRules | OptimizerClass:
        if text not in self._rules:
            self._rules[text] = read_optimizer(text)
        return self._rules[text]


def read_optimizer(text: str) -> UpdateRules | OptimizerClass:
    """Return what trains: of a program's text its compiled rules, else the class that is named."""
    return OptimizerClass.parse(text) if OptimizerClass.is_text(text) else compile_text(text)


def _attempt(space: TuningSpace, place: Place, found: float) -> Attempt:
    rates = space.rates(place)
    lr = rates.matrix or rates.rest
    return Attempt(space.text(place), space.constants(place), lr, rates.rest, found)
