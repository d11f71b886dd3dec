"""The search: propose, evaluate, commit, in an order that nothing outside the run can change.

    while there is something to propose or to wait for:
        keep `window` packs in flight
        commit the oldest of them

A commit is in the journal before anything that was proposed after it leaves the driver. Flushing to
the disk takes milliseconds, so commits are flushed together as long as the next result is at hand;
the new packs wait until then.

Resuming is the same loop over a journal that already holds some packs: they are proposed again, and
their recorded results are committed instead of being evaluated.

A run that was extended goes on where it would have ended, after the last confirmations; when it was
extended makes no difference.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from evosearch.config.schema import Config
from evosearch.errors import CorruptArchive
from evosearch.evolution.garbage import collected_before
from evosearch.evolution.individual import Pack
from evosearch.evolution.population import Population
from evosearch.evolution.records import baseline_of, baseline_record, outcomes_of, pack_record
from evosearch.storage.schema import CARRIERS
from evosearch.training.baseline import Baseline, BaselineJob, adamw
from evosearch.training.job import Job, Stage
from evosearch.training.score import BOUND
from evosearch.workers.executor import Executor, Timed

__all__ = ["Append", "Progress", "baseline_jobs", "replay", "search"]

Append = Callable[[Sequence[Mapping[str, Any]]], object]
"""Makes records durable, in their order, before it returns."""

_TOGETHER: Final = 64
"""The most packs that are flushed to the disk together."""


@dataclass(frozen=True)
class Progress:
    """What an observer sees after every commit."""

    population: Population
    baselines: Mapping[str, Baseline]
    pack: Pack
    replayed: bool
    """Whether the pack's results came from the journal."""
    seconds: float
    """Time that a worker spent on the pack."""


@collected_before()
def search(
    config: Config,
    executor: Executor,
    append: Append,
    records: Iterable[Mapping[str, Any]] = (),
    observe: Callable[[Progress], None] = lambda _: None,
) -> Population:
    """Run a search to the end of its budget.

    Args:
        config: what to do.
        executor: where packs are evaluated.
        append: the journal.
        records: what the journal holds already, a prefix of the same search; read twice.
        observe: called after every commit; an exception it raises ends the search, nothing is lost.

    Returns:
        The final population.

    Raises:
        CorruptArchive: the records are not a prefix of this search.
    """
    known = _Recorded.of(records)
    baselines = _baselines(config, executor, append, known)
    population = Population(config)
    in_flight: deque[Pack] = deque()
    gate = _Gate(executor, append)
    try:
        while True:
            while len(in_flight) < config.budget.window:
                if (pack := population.propose()) is None:
                    break
                in_flight.append(pack)
                if pack.number >= known.count:
                    gate.jobs[pack.number] = _job(config, pack, population, baselines)
            if not in_flight:
                if not known.budgets:
                    break
                population.budget = known.budgets.popleft()
                continue
            pack = in_flight.popleft()
            recorded = pack.number < known.count
            if recorded:
                record = next(known.packs)
                population.commit(pack, outcomes_of(record, pack))
                seconds = float(record["info"].get("seconds", 0.0))
            else:
                outcomes, seconds = gate.collect(pack.number)
                assert isinstance(outcomes, tuple)
                population.commit(pack, outcomes)
                info = {"seconds": round(seconds, 3)}
                gate.records.append(pack_record(pack, outcomes, population, info))
            observe(Progress(population, baselines, pack, recorded, seconds))
    finally:
        gate.write()
    if extra := list(known.packs):
        raise CorruptArchive(
            f"the journal holds {len(extra)} packs more than its configuration asks for, the "
            f"first is pack {extra[0]['pack']}; it was written by another version or edited"
        )
    return population


def replay(config: Config, records: Iterable[Mapping[str, Any]]) -> Population:
    """Return the population after the packs in a journal, without evaluating anything.

    Args:
        config: What to do.
        records: What the journal holds; read twice.
    """
    known = _Recorded.of(records)
    population = Population(config)
    in_flight: deque[Pack] = deque()
    while True:
        while len(in_flight) < config.budget.window and (pack := population.propose()) is not None:
            in_flight.append(pack)
        if not in_flight and known.budgets:
            population.budget = known.budgets.popleft()
            continue
        if not in_flight or in_flight[0].number >= known.count:
            return population
        pack = in_flight.popleft()
        population.commit(pack, outcomes_of(next(known.packs), pack))


@dataclass
class _Gate:
    """Between the driver and the workers: nothing passes before what led to it is on the disk."""

    executor: Executor
    append: Append
    records: list[Mapping[str, Any]] = field(default_factory=list)
    """What was committed and is not in the journal yet."""
    jobs: dict[int, Job] = field(default_factory=dict)
    """What was proposed and not submitted yet, by number."""

    def collect(self, number: int) -> Timed:
        """Return a job's result; what waits is let out if the result does."""
        waits = number in self.jobs or not self.executor.ready(number)
        if waits or len(self.records) >= _TOGETHER:
            self.write()
            while self.jobs:
                first = next(iter(self.jobs))
                self.executor.submit(first, self.jobs.pop(first))
        return self.executor.collect(number)

    def write(self) -> None:
        """Have all records in the journal."""
        records, self.records = self.records, []
        if records:
            self.append(records)


@dataclass
class _Recorded:
    """What a journal holds already."""

    baselines: dict[str, Baseline]
    budgets: deque[int]
    """What the run was extended to, one after the other."""
    count: int
    """How many packs."""
    packs: Iterator[Mapping[str, Any]]
    """Their records, read one by one: together they may be larger than memory."""

    @classmethod
    def of(cls, records: Iterable[Mapping[str, Any]]) -> _Recorded:
        recorded = cls({}, deque(), 0, iter(()))
        for record in records:
            if record["kind"] == "reference":
                baseline = baseline_of(record)
                recorded.baselines[baseline.task] = baseline
            elif record["kind"] in CARRIERS:
                recorded.count += 1
            elif record["kind"] == "extended":
                recorded.budgets.append(record["evaluations"])
        packs = (record for record in records if record["kind"] in CARRIERS)
        recorded.packs = islice(packs, recorded.count)  # those that the search adds are not meant
        return recorded


def baseline_jobs(config: Config) -> tuple[BaselineJob, ...]:
    """Return one job for each task of a search."""
    settings, evaluation = config.reference, config.evaluation
    programs = tuple(adamw(b, d) for d in settings.weight_decay for b in settings.betas)
    refs = [ref for tier in config.tiers_of_tasks() for ref in tier]
    grid, rounds = evaluation.grid(), config.elites.rounds
    return tuple(
        BaselineJob(programs, ref, config.seed, evaluation.seeds, rounds, grid) for ref in refs
    )


def _baselines(
    config: Config, executor: Executor, append: Append, known: _Recorded
) -> dict[str, Baseline]:
    """Return the tuned reference of every task; those that are not recorded are tuned now."""
    jobs = {-1 - i: job for i, job in enumerate(baseline_jobs(config))}
    missing = {n: job for n, job in jobs.items() if str(job.task) not in known.baselines}
    for number, job in missing.items():
        executor.submit(number, job)
    baselines = dict(known.baselines)
    for number in missing:
        baseline, seconds = executor.collect(number)
        assert isinstance(baseline, Baseline)
        append([baseline_record(baseline, {"seconds": round(seconds, 3)})])
        baselines[baseline.task] = baseline
    return baselines


def _job(
    config: Config, pack: Pack, population: Population, baselines: Mapping[str, Baseline]
) -> Job:
    """Return the evaluation of a pack, with the hurdles of this moment."""
    seeds = config.evaluation.seeds
    replicates = tuple(range(pack.round * seeds, (pack.round + 1) * seeds))
    tiers = config.tiers_of_tasks()
    hurdles = (-BOUND,) * len(tiers) if pack.confirms else population.hurdles()
    return Job(
        candidates=tuple(
            population.cores[individual.id].text if pack.confirms else individual.text
            for individual in pack.individuals
        ),
        stages=tuple(Stage(tasks, hurdle) for tasks, hurdle in zip(tiers, hurdles, strict=True)),
        replicates=replicates,
        run_seed=config.seed,
        references={
            task: tuple(baseline.values[r] for r in replicates)
            for task, baseline in baselines.items()
        },
        grid=config.evaluation.grid(),
        shrink=not pack.confirms,
    )
