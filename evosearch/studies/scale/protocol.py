"""The scale test: finalists and baselines on a task much larger than those of the search.

Everybody is tuned by the one tuner (`evosearch.training.tuner`) with the same allowance of trials,
on seeds of their own: learning rates and, where asked, constants. The best trial is trained on
further seeds, and their loss curves are what `evosearch.studies.scale.result` sums up.

What to train next is a function of what is already in the directory, one file a lane, so a test
that was interrupted goes on, and one may ask for more seeds, trials or optimizers later.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from evosearch.errors import RunError, UsageError
from evosearch.language.library import Use, used_as
from evosearch.storage.atomic_write import write_atomic
from evosearch.studies.scale.lane import Lane, LaneResult, seconds_per_lane, train_lane
from evosearch.training.job import TaskRef
from evosearch.training.lanes import arithmetic
from evosearch.training.seeds import derive
from evosearch.training.tunable import Tunable
from evosearch.training.tuner import Descent, Place, TuningSpace, level
from proxy_tasks.registry import get
from proxy_tasks.task import Task

__all__ = ["BASELINES", "Contestant", "Estimate", "ScaleTest", "cost", "run"]

BASELINES: Final = used_as(Use.SCALE_TEST)
"""Known optimizers that every test holds."""
_SETTINGS: Final = "settings.json"
_LAYOUT: Final = 2
"""Version of what lanes are named and of the seeds that they train on."""


@dataclass(frozen=True)
class ScaleTest:
    """What is compared, and where."""

    task: TaskRef
    optimizers: Mapping[str, Tunable]
    """By label; "adamw" among them."""
    seeds: int
    """Paired seeds that the tuned optimizers are tested on."""
    tuning_seeds: int = 1
    """Other seeds that each is tuned on."""
    descent: Descent = field(default_factory=Descent)
    """How far each is tuned."""
    seed: int = 0
    """What the seeds are drawn from, apart from those of every search."""

    @property
    def problem(self) -> Task:
        """The task itself."""
        return get(self.task.name, **self.task.overrides)

    def contestants(self, results: Mapping[str, LaneResult]) -> dict[str, Contestant]:
        """Return the optimizers by label, with these results by file.

        Raises:
            UsageError: A program cannot be trained at all.
        """
        task = self.problem
        spaces = {label: self._space(label, task) for label in self.optimizers}
        return {
            label: Contestant(self, task.floor, space, results) for label, space in spaces.items()
        }

    def settings(self) -> dict[str, Any]:
        """Return what all lanes of a directory have in common."""
        return {
            "task": str(self.task),
            "seed": self.seed,
            "tuning seeds": self.tuning_seeds,
            "layout": _LAYOUT,
        }

    def _space(self, label: str, task: Task) -> TuningSpace:
        try:
            with arithmetic():
                space = TuningSpace.of(self.optimizers[label], task)
        except (ArithmeticError, RuntimeError) as error:
            raise UsageError(f"{label} fails on {self.task}: {error}; leave it out") from None
        if space.size.degenerate:
            raise UsageError(
                f"expected {label} to make a step on {self.task}, found updates of size "
                f"{space.size.matrix} on matrices and {space.size.rest} on the rest; leave it out"
            )
        return space


@dataclass(frozen=True)
class Contestant:
    """One optimizer of a test, with what is known of it so far."""

    test: ScaleTest
    floor: float
    """The task's."""
    space: TuningSpace
    results: Mapping[str, LaneResult]
    """By the file of the lane; they may grow."""

    def tuning(self, place: Place) -> tuple[Lane, ...]:
        """Return the lanes of a trial."""
        return tuple(self._lane(place, i, test=False) for i in range(self.test.tuning_seeds))

    @property
    def tried(self) -> dict[Place, float]:
        """Levels of the trials so far, in order; see `evosearch.training.tuner.level`."""
        levels: dict[Place, float] = {}
        while ahead := self.space.ahead(self.test.descent, levels):
            found = {place: self._values(place) for place in ahead}
            if any(values is None for values in found.values()):
                break
            levels |= {p: level(values, self.floor) for p, values in found.items() if values}
        return levels

    @property
    def best(self) -> Place:
        """The best of the points tried; of equals, the first."""
        tried = self.tried
        return min(tried, key=lambda place: tried[place])

    @property
    def program(self) -> str:
        """Program text at the best point."""
        return self.space.text(self.best)

    @property
    def edges(self) -> tuple[str, ...]:
        """The axes along which a neighbour of the best point was not tried."""
        return self.space.edges(self.test.descent, self.tried)

    @property
    def tests(self) -> tuple[Lane, ...]:
        """Lanes of the best point on the seeds that are for testing; none where all diverged."""
        best, first = self.best, self.test.tuning_seeds
        values = self._values(best)
        if values is None or not all(map(math.isfinite, values)):
            return ()
        return tuple(self._lane(best, first + i, test=True) for i in range(self.test.seeds))

    def pending(self) -> list[Lane]:
        """Return the lanes to train next: trials and, once these are done, tests."""
        ahead = self.space.ahead(self.test.descent, self.tried)
        lanes = [lane for place in ahead for lane in self.tuning(place)] or self.tests
        return [lane for lane in lanes if lane.file not in self.results]

    def _values(self, place: Place) -> list[float] | None:
        """Return the end values of a trial; None where one is missing."""
        found = [self.results.get(lane.file) for lane in self.tuning(place)]
        values = [result.value for result in found if result]
        return values if len(values) == len(found) else None

    def _lane(self, place: Place, replicate: int, *, test: bool) -> Lane:
        seed = derive("scale", self.test.seed)
        program, rates = self.space.text(place), self.space.rates(place)
        return Lane(self.test.task, seed, program, rates, replicate, test)


ReportLane = Callable[[str, Lane, LaneResult], None]
"""Is told of a lane of the optimizer with this label when it has been trained."""


def run(
    test: ScaleTest, directory: Path, *, workers: int = 1, report: ReportLane = lambda *_: None
) -> dict[str, Contestant]:
    """Train all lanes that the directory does not hold, and return the contestants by label.

    Args:
        test: What is compared.
        directory: Where each lane's result goes as soon as it is known.
        workers: Processes; with one, everything happens in this process.
        report: Is told of every lane.

    Raises:
        UsageError: The directory is of another test, or a program cannot be trained at all.
        RunError: A process died; what the others finished is kept.
    """
    _claim(test, directory)
    results: dict[str, LaneResult] = {}
    contestants = test.contestants(results)
    with _trainer(workers) as train:
        while pending := _missing(contestants, results, directory):
            for lane, result in train([lane for lane, _ in pending.values()]):
                lane.keep(directory, result)
                results[lane.file] = result
                report(pending[lane.file][1], lane, result)
    return contestants


def _missing(
    contestants: Mapping[str, Contestant], results: dict[str, LaneResult], directory: Path
) -> dict[str, tuple[Lane, str]]:
    """Load what is kept, as far as it leads, and return what to train next, and for whom first."""
    missing: dict[str, tuple[Lane, str]] = {}
    for label, contestant in contestants.items():
        found = True
        while found:
            found = False
            for lane in contestant.pending():
                if kept := lane.load(directory):
                    results[lane.file] = kept
                    found = True
                else:
                    missing.setdefault(lane.file, (lane, label))
    return missing


@dataclass(frozen=True)
class Estimate:
    """What a test costs at most: descents may end before their trials are spent."""

    seconds: Mapping[str, float]
    """About how much processor time a training run of each optimizer takes, by label."""
    lanes: Mapping[str, int]
    """Training runs that each may still need."""

    @property
    def total(self) -> float:
        """Processor time in seconds."""
        return sum(self.lanes[label] * seconds for label, seconds in self.seconds.items())


def cost(test: ScaleTest, directory: Path) -> Estimate:
    """Return what a test costs beyond what its directory holds, by a few steps of each optimizer.

    Raises:
        UsageError: The directory is of another test, or a program cannot be trained at all.
    """
    results: dict[str, LaneResult] = {}
    contestants = test.contestants(results)
    if _matches(test, directory):
        _missing(contestants, results, directory)
    seconds: dict[str, float] = {}
    lanes: dict[str, int] = {}
    for label, contestant in contestants.items():
        tried, pending = contestant.tried, contestant.pending()
        testing = bool(tried) and not contestant.space.ahead(test.descent, tried)
        left = 0 if testing else (test.descent.trials - len(tried)) * test.tuning_seeds
        lanes[label] = len(pending) if testing else left + test.seeds
        start = (0, 0, *(axis.first for axis in contestant.space.tunable.axes))
        seconds[label] = seconds_per_lane(contestant.tuning(start)[0])
    return Estimate(seconds, lanes)


def _claim(test: ScaleTest, directory: Path) -> None:
    """Make the directory this test's, or check that it is."""
    if not _matches(test, directory):
        directory.mkdir(parents=True, exist_ok=True)
        write_atomic(directory / _SETTINGS, json.dumps(test.settings()) + "\n")


def _matches(test: ScaleTest, directory: Path) -> bool:
    """Whether the directory holds lanes of this test; False where it holds none.

    Raises:
        UsageError: It is of another test.
    """
    path = directory / _SETTINGS
    if not path.is_file():
        return False
    found = json.loads(path.read_text(encoding="utf-8"))
    for key, value in test.settings().items():
        if found.get(key) != value:
            raise UsageError(
                f"{directory} holds a scale test with {key} {found.get(key)}, but asked for is "
                f"{value}; repeat the options that it was started with, or choose another --dir"
            )
    return True


@contextmanager
def _trainer(workers: int) -> Iterator[_Train]:
    """Yield what trains lanes and yields each with its result as soon as it is known."""
    if workers == 1:
        yield lambda lanes: ((lane, train_lane(lane)) for lane in lanes)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _ignore_interrupts) as pool:

        def train(lanes: Sequence[Lane]) -> Iterator[tuple[Lane, LaneResult]]:
            futures = {pool.submit(train_lane, lane): lane for lane in lanes}
            yield from ((futures[future], future.result()) for future in as_completed(futures))

        try:
            yield train
        except BrokenProcessPool:
            raise RunError(
                "a process died while training, perhaps for want of memory; the same command goes "
                "on where it stopped, with fewer --workers if need be"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


_Train = Callable[[Sequence[Lane]], Iterator[tuple[Lane, LaneResult]]]


def _ignore_interrupts() -> None:
    """Leave Ctrl-C to the parent, which ends this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
