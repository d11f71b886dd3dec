"""Paired tests: whether a program is as good as another one, up to a stated margin.

Both get their learning rates from one grid, on search and select tasks and on seeds that nothing
else uses. The score of a seed is the logarithm of the ratio of their excess losses.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Final

from evosearch.errors import DataError, UsageError
from evosearch.simplify.certificate import PairedTest
from evosearch.studies.kept_scores import KeptScores, PairedScores
from evosearch.studies.statistics import difference
from evosearch.training.evaluate import evaluate, evaluate_baseline
from evosearch.training.job import Job, Outcome, Stage, Status, TaskRef
from evosearch.training.lr_grid import Grid
from evosearch.training.score import BOUND
from evosearch.training.seeds import derive

__all__ = ["NoninferiorityTest", "cheap_tasks"]

_ERROR: Final = 0.05
"""How likely an end of the interval may be on the wrong side of the truth at any of the looks."""


def cheap_tasks() -> tuple[TaskRef, ...]:
    """Return the micro tasks of the search and select splits."""
    from proxy_tasks.registry import TASKS
    from proxy_tasks.task import Split, TaskSize

    return tuple(
        TaskRef(name)
        for name, spec in TASKS.items()
        if spec.split in (Split.SEARCH, Split.SELECT) and spec.task.size is TaskSize.MICRO
    )


@dataclass(frozen=True)
class NoninferiorityTest:
    """What a change must not make worse, and how closely one looks."""

    tasks: tuple[TaskRef, ...] = field(default_factory=cheap_tasks)
    margin: float = 0.1
    """Loss of score that is allowed: 0.1 is a tenth more excess loss."""
    seeds: int = 16
    """Paired seeds of a task in one block of the test that decides."""
    blocks: int = 4
    """Blocks of fresh seeds at most, as long as the interval holds both loss and no loss."""
    screening: int = 4
    """Paired seeds of a task in the look that says which proposals are worth the test."""
    grid: Grid = field(default_factory=lambda: Grid(rates=7, ratios=(1.0,)))
    seed: int = 0
    """Whatever it is, seeds are not those of any search."""
    budget: int = 200_000
    """Training runs that may be spent."""
    kept: KeptScores | None = None
    """Where comparisons are read that were made before, and kept when they are made."""

    def __post_init__(self) -> None:
        counts = min(self.seeds, self.screening, 2 * self.blocks)
        if not self.tasks or counts < 2 or self.margin <= 0.0:
            raise UsageError(
                f"a noninferiority test of {len(self.tasks)} tasks, {self.blocks} blocks of "
                f"{self.seeds} seeds, {self.screening} for screening, margin {self.margin}; "
                "expected at least one task, one block, two seeds each and a positive margin"
            )

    @cached_property
    def run_seed(self) -> int:
        """The seed that evaluation seeds derive from."""
        return derive("examination", self.seed)  # another word would give other seeds

    def compare(
        self, anchor: str, programs: Sequence[str], replicates: Sequence[int]
    ) -> list[PairedScores]:
        """Return the paired scores of each program against an anchor, all given as text.

        Tasks on which the anchor itself does not train are left out.

        Raises:
            UsageError: The anchor trains on none of the tasks.
        """
        if self.kept is None:
            return self._trained(anchor, programs, replicates)
        key = {
            "programs": [anchor, *programs],
            "tasks": [asdict(task) for task in self.tasks],
            "seeds": [self.run_seed, *replicates],
            "grid": asdict(self.grid),
        }
        found = self.kept.read(key)
        if found is None:
            found = self._trained(anchor, programs, replicates)
            self.kept.write(key, found)
        return found

    def _trained(
        self, anchor: str, programs: Sequence[str], replicates: Sequence[int]
    ) -> list[PairedScores]:
        """Return the scores, by training."""
        start = time.process_time()
        references: dict[str, tuple[float, ...]] = {}
        tasks: list[TaskRef] = []
        trainings = 0
        for task in self.tasks:
            try:
                tuned = evaluate_baseline(anchor, task, replicates, self.run_seed, self.grid)
            except (DataError, RuntimeError):
                continue
            references[str(task)] = tuned.values
            trainings += sum(map(len, tuned.trials))
            tasks.append(task)
        if not tasks:
            names = ", ".join(map(str, self.tasks))
            raise UsageError(f"the program trains on none of {names}; choose other tasks")
        job = Job(
            candidates=tuple(programs),
            stages=(Stage(tuple(tasks)),),
            replicates=tuple(replicates),
            run_seed=self.run_seed,
            references=references,
            grid=self.grid,
        )
        outcomes = evaluate(job)
        seconds = time.process_time() - start
        trainings += sum(len(r.trials) for outcome in outcomes for r in outcome.tasks)
        cost = round(trainings / len(programs)), seconds / len(programs)
        return [PairedScores(_scores(outcome, tasks), *cost) for outcome in outcomes]

    def judge(self, comparison: PairedScores) -> PairedTest:
        """Return what the scores so far say.

        `decide` looks again after each block, so each look gets its share of the error
        (Bonferroni): without that, a loss of just the margin passed 7 % of the time.
        """
        from scipy.special import stdtrit

        scores = comparison.scores
        found = difference(scores.values())
        error = 0.0 if found.error is None else found.error
        quantile = 1.0 - _ERROR / self.blocks
        half = error * float(stdtrit(found.freedom, quantile)) if found.freedom else 0.0
        return PairedTest(
            difference=found.mean,
            low=found.mean - half,
            high=found.mean + half,
            pairs=found.pairs,
            margin=self.margin,
            tasks=tuple(scores),
            trainings=comparison.trainings,
            seconds=comparison.seconds,
        )

    def decide(self, anchor: str, program: str, first: int) -> tuple[PairedTest, int]:
        """Test one program on blocks of fresh seeds until it is decided, or for `blocks` of them.

        Returns:
            The test on all blocks together, and the number of the first unused replicate.
        """
        total = PairedScores({}, 0, 0.0)
        for block in range(1, self.blocks + 1):
            replicates = range(first, first + self.seeds)
            first += self.seeds
            total = total.joined(self.compare(anchor, [program], replicates)[0])
            test = self.judge(total)
            decided = test.low > -self.margin or test.difference < -self.margin
            if decided or block == self.blocks:
                return test, first
        raise AssertionError("a test has at least one block")


def _scores(outcome: Outcome, tasks: Sequence[TaskRef]) -> dict[str, tuple[float, ...]]:
    """Return a program's scores by task; the worst on all of them if it failed on one."""
    pairs = len(outcome.tasks) // max(1, len({r.task for r in outcome.tasks}))
    if outcome.status is not Status.OK:
        return {str(task): (-BOUND,) * max(2, pairs) for task in tasks}
    return {
        str(task): tuple(r.score for r in outcome.tasks if r.task == str(task)) for task in tasks
    }
