"""The scale test: finalists and baselines on a task much larger than those of the search.

Every optimizer is tuned alike: as many trials as any other on one seed, over its learning rate and
the ratio between hidden matrices and the rest, walking from the centre of its own grid. Its best
trial is trained on further seeds, and their loss curves are what `evosearch.studies.scale.result`
sums up.

What to train next is a function of what is already in the directory, one file a lane, so a test
that was interrupted goes on, and one may ask for more seeds or more optimizers later.
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
from evosearch.studies.scale.lane import TUNING, Lane, LaneResult, seconds_per_lane, train_lane
from evosearch.training.evaluate import compile_text
from evosearch.training.job import TaskRef
from evosearch.training.lanes import arithmetic
from evosearch.training.lr_grid import Grid, GridPoint, UpdateSize, measure
from evosearch.training.seeds import derive
from proxy_tasks.registry import get
from proxy_tasks.task import Task

__all__ = ["BASELINES", "Contestant", "ScaleTest", "costs", "run", "walk"]

BASELINES: Final = used_as(Use.SCALE_TEST)
"""Known optimizers that every test holds."""
_SETTINGS: Final = "settings.json"


@dataclass(frozen=True)
class ScaleTest:
    """What is compared, and where."""

    task: TaskRef
    programs: Mapping[str, str]
    """Program texts by label; "adamw" among them."""
    seeds: int
    """Paired seeds that the tuned optimizers are tested on."""
    trials: int
    """Settings of learning rate and ratio that each may try."""
    seed: int = 0
    """What the seeds are drawn from, apart from those of every search."""
    grid: Grid = field(default_factory=Grid)

    @property
    def problem(self) -> Task:
        """The task itself."""
        return get(self.task.name, **self.task.overrides)

    def contestants(self, results: Mapping[str, LaneResult]) -> dict[str, Contestant]:
        """Return the optimizers by label, with these results by file.

        Raises:
            UsageError: A program cannot be trained at all.
        """
        sizes = {label: self._size(label, program) for label, program in self.programs.items()}
        return {
            label: Contestant(self, program, sizes[label], results)
            for label, program in self.programs.items()
        }

    def settings(self) -> dict[str, Any]:
        """Return what all lanes of a directory have in common."""
        return {
            "task": str(self.task),
            "seed": self.seed,
            "per_decade": self.grid.per_decade,
            "ratios": list(self.grid.ratios),
        }

    def _size(self, label: str, program: str) -> UpdateSize:
        try:
            with arithmetic():
                size = measure(compile_text(program), self.problem)
        except (ArithmeticError, RuntimeError) as error:
            raise UsageError(f"{label} fails on {self.task}: {error}; leave it out") from None
        if size.degenerate:
            raise UsageError(
                f"expected {label} to make a step on {self.task}, found updates of size "
                f"{size.matrix} on matrices and {size.rest} on the rest; leave it out"
            )
        return size


def walk(
    grid: Grid, size: UpdateSize, losses: Mapping[GridPoint, float], trials: int
) -> tuple[GridPoint, ...]:
    """Return the points to try next; empty once there were as many as allowed.

    First the centre; then the untried neighbours of the best point that still has any: other
    learning rates before other ratios, since a ratio is worth little at a wrong rate.

    Args:
        grid: Gives the spacing, and what is beside what.
        size: Of the rule's update.
        losses: End values of the points that were tried.
        trials: How many may be tried in all.
    """
    if not losses:
        return (GridPoint(0, len(grid.ratios) // 2),)
    room = max(0, trials - len(losses))
    for point in sorted(losses, key=lambda point: losses[point]):
        if ahead := grid.beyond(point, losses, size):
            rates = tuple(p for p in ahead if p.ratio == point.ratio)
            return (rates or ahead)[:room]
    return ()


@dataclass(frozen=True)
class Contestant:
    """One optimizer of a test, with what is known of it so far."""

    test: ScaleTest
    program: str
    size: UpdateSize
    results: Mapping[str, LaneResult]
    """By the file of the lane; they may grow."""

    def lane(self, point: GridPoint, replicate: int) -> Lane:
        """Return the lane of a point and seed."""
        test = self.test
        trial = test.grid.trial(point, self.size, test.problem.step_size)
        seed = derive("scale", test.seed)
        return Lane(test.task, seed, self.program, point, trial, replicate)

    @property
    def tried(self) -> dict[GridPoint, float]:
        """End values of the points that were tried while tuning, in order."""
        losses: dict[GridPoint, float] = {}
        while ahead := walk(self.test.grid, self.size, losses, self.test.trials):
            found = [self.results.get(self.lane(point, TUNING).file) for point in ahead]
            if None in found:
                break
            losses |= {
                point: result.value for point, result in zip(ahead, found, strict=True) if result
            }
        return losses

    @property
    def best(self) -> GridPoint:
        """The best of the points tried; of equals, the first."""
        tried = self.tried
        return min(tried, key=lambda point: tried[point])

    @property
    def edge(self) -> bool:
        """Whether a neighbour of the best point was not tried."""
        return bool(self.test.grid.beyond(self.best, self.tried, self.size))

    @property
    def tests(self) -> tuple[Lane, ...]:
        """Lanes of the best point on the seeds that are for testing."""
        best = self.best
        return tuple(self.lane(best, TUNING + 1 + i) for i in range(self.test.seeds))

    def pending(self) -> list[Lane]:
        """Return the lanes to train next: trials and, once these are done, tests."""
        tried = self.tried
        ahead = walk(self.test.grid, self.size, tried, self.test.trials)
        lanes = [self.lane(point, TUNING) for point in ahead]
        if not lanes and math.isfinite(min(tried.values())):
            lanes = list(self.tests)
        return [lane for lane in lanes if lane.file not in self.results]


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
    labels = {program: label for label, program in test.programs.items()}
    with _trainer(workers) as train:
        while lanes := [lane for c in contestants.values() for lane in c.pending()]:
            missing = []
            for lane in lanes:
                kept = lane.load(directory)
                if kept is None:
                    missing.append(lane)
                else:
                    results[lane.file] = kept
            for lane, result in train(missing):
                lane.keep(directory, result)
                results[lane.file] = result
                report(labels[lane.program], lane, result)
    return contestants


def costs(test: ScaleTest) -> dict[str, float]:
    """Return about how much processor time a training run of each optimizer takes, by label."""
    centre = GridPoint(0, len(test.grid.ratios) // 2)
    contestants = test.contestants({})
    return {
        label: seconds_per_lane(contestant.lane(centre, TUNING))
        for label, contestant in contestants.items()
    }


def _claim(test: ScaleTest, directory: Path) -> None:
    """Make the directory this test's, or check that it is."""
    path, asked = directory / _SETTINGS, test.settings()
    if not path.is_file():
        directory.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(asked) + "\n")
        return
    found = json.loads(path.read_text(encoding="utf-8"))
    for key, value in asked.items():
        if found.get(key) != value:
            raise UsageError(
                f"{directory} holds a scale test with {key} {found.get(key)}, but asked for is "
                f"{value}; repeat the options that it was started with, or choose another --dir"
            )


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
