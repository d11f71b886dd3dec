"""Further rounds: candidates of a finished run evaluated on more seeds than the search needed.

A round is what it is in the search: the same replicates of the same run seed, hence paired with all
others'. Rounds that the search did itself are taken from its journal, and the ones after those
continue the count; which worker computes them does not show in the result.

The first round is what candidates were chosen by, so it flatters those that were lucky in it. Once
a candidate has all its rounds, its score is that of the later ones alone, the fresh seeds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property

from evosearch.runs.candidate import Candidate, Measurement
from evosearch.runs.run import Run
from evosearch.studies.statistics import Difference, difference
from evosearch.training.baseline import BaselineJob
from evosearch.training.job import Job, Outcome, Stage, Status
from evosearch.training.score import combine
from evosearch.workers.executor import Executor

__all__ = ["Reevaluation"]


class Reevaluation:
    """The candidates of a run that passed all its tiers, and what is known of them.

    Args:
        run: A finished run.
        executor: Where further rounds are computed.
        count: Rounds after which a candidate is known well enough, the first included.
    """

    def __init__(self, run: Run, executor: Executor, count: int) -> None:
        self.config = run.config
        self.count = count
        last = len(self.config.tiers) - 1
        self.candidates: dict[int, Candidate] = {
            c.id: self._scored(c)
            for c in run.history.candidates.values()
            if c.score is not None and c.tier == last
        }
        """By id; one that fails in a further round is dropped."""
        self.seconds = 0.0
        """Time that workers spent on further rounds."""
        self._executor = executor
        self._recorded = {task: b.program for task, b in run.history.baselines.items()}
        self._numbers = 0

    def complete(self, id_: int) -> bool:
        """Whether a candidate has all its rounds."""
        return self.candidates[id_].rounds >= self.count

    def incomplete(self, ids: Iterable[int]) -> list[int]:
        """Return those that lack rounds, in their order."""
        return [i for i in dict.fromkeys(ids) if not self.complete(i)]

    def ranking(self) -> list[Candidate]:
        """Return all candidates, best first."""
        return sorted(self.candidates.values(), key=lambda c: c.rank, reverse=True)

    def ahead(self, first: int, second: int) -> Difference:
        """Return by how much one is better than another on fresh seeds; both have all rounds."""
        mine, theirs = self._scores(first), self._scores(second)
        tasks: dict[str, list[float]] = {}
        for (task, replicate), score in mine.items():
            tasks.setdefault(task, []).append(score - theirs[task, replicate])
        return difference(tasks.values())

    def advance(self, ids: Iterable[int]) -> None:
        """Evaluate each of these candidates in the next round that it lacks."""
        waiting: dict[int, list[int]] = {}
        for id_ in self.incomplete(ids):
            waiting.setdefault(self.candidates[id_].rounds, []).append(id_)
        size = self.config.budget.pack
        packs = [
            (round_, members[k : k + size])
            for round_, members in sorted(waiting.items())
            for k in range(0, len(members), size)
        ]
        jobs = [self._job(round_, members) for round_, members in packs]
        numbers = [self._number() for _ in jobs]
        for number, job in zip(numbers, jobs, strict=True):
            self._executor.submit(number, job)
        for number, (_, members) in zip(numbers, packs, strict=True):
            outcomes, seconds = self._executor.collect(number)
            assert isinstance(outcomes, tuple)
            self.seconds += seconds
            for id_, outcome in zip(members, outcomes, strict=True):
                self._take_in(id_, outcome)

    def _take_in(self, id_: int, outcome: Outcome) -> None:
        if outcome.status is not Status.OK:
            del self.candidates[id_]
            return
        old = self.candidates[id_]
        fresh = tuple(Measurement.of(result.to_json()) for result in outcome.tasks)
        measurements = old.measurements + fresh
        new = replace(old, measurements=measurements, rounds=old.rounds + 1)
        self.candidates[id_] = self._scored(new)

    def _scored(self, candidate: Candidate) -> Candidate:
        """Return a candidate with the score of its fresh seeds, if it has all rounds."""
        known = candidate.measurements
        if candidate.rounds >= self.count:
            known = tuple(m for m in known if m.replicate >= self.config.evaluation.seeds)
        total = combine(list(replace(candidate, measurements=known).task_scores().values()))
        return replace(candidate, score=total.mean, error=total.se)

    def _scores(self, id_: int) -> dict[tuple[str, int], float]:
        """Return a candidate's scores on fresh seeds by task and replicate."""
        seeds = self.config.evaluation.seeds
        measured = self.candidates[id_].measurements
        return {(m.task, m.replicate): m.score for m in measured if m.replicate >= seeds}

    def _job(self, round_: int, ids: list[int]) -> Job:
        seeds = self.config.evaluation.seeds
        replicates = tuple(range(round_ * seeds, (round_ + 1) * seeds))
        return Job(
            candidates=tuple(self.candidates[i].program_text for i in ids),
            stages=tuple(Stage(tasks) for tasks in self.config.tiers_of_tasks()),
            replicates=replicates,
            run_seed=self.config.seed,
            references={
                task: tuple(values[r] for r in replicates)
                for task, values in self._references.items()
            },
            grid=self.config.evaluation.grid(),
        )

    @cached_property
    def _references(self) -> dict[str, tuple[float, ...]]:
        """AdamW's values on all rounds of each task, the search's first."""
        refs = [ref for tier in self.config.tiers_of_tasks() for ref in tier]
        grid = self.config.evaluation.grid()
        numbers = [self._number() for _ in refs]
        for number, ref in zip(numbers, refs, strict=True):
            program = self._recorded[str(ref)]
            seeds = self.config.evaluation.seeds
            job = BaselineJob((program,), ref, self.config.seed, seeds, self.count, grid)
            self._executor.submit(number, job)
        values: dict[str, tuple[float, ...]] = {}
        for number, ref in zip(numbers, refs, strict=True):
            baseline, seconds = self._executor.collect(number)
            assert not isinstance(baseline, tuple)
            self.seconds += seconds
            values[str(ref)] = baseline.values
        return values

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers - 1
