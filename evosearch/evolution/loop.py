"""The search: propose, evaluate, commit, in an order that nothing outside the run can change.

    while there is something to propose or to wait for:
        keep `window` packs in flight
        commit the oldest of them

A commit is in the journal before anything that was proposed after it leaves the driver. Flushing to
the disk takes milliseconds, so commits are flushed together as long as the next result is at hand;
the new packs wait until then.

Resuming is the same loop over a journal that already holds some packs: their recorded results are
committed instead of being evaluated. The packs themselves are taken from their records, but for a
sample of them that is proposed again and compared: proposing takes most of a driver's time.

A run that was extended goes on where it would have ended, after the last confirmations; when it was
extended makes no difference.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from evosearch.config.schema import Config
from evosearch.errors import CorruptArchive, DataError
from evosearch.evolution.garbage import collected_before
from evosearch.evolution.individual import Pack
from evosearch.evolution.population import Population
from evosearch.evolution.records import (
    baseline_of,
    baseline_record,
    outcomes_of,
    pack_of,
    pack_record,
)
from evosearch.storage.schema import CARRIERS
from evosearch.training.baseline import Baseline, BaselineJob
from evosearch.training.job import Job, Outcome, Stage, Status
from evosearch.training.score import BOUND
from evosearch.workers.executor import Executor, Timed

__all__ = ["SAMPLE", "Append", "Progress", "baseline_jobs", "replay", "search"]

Append = Callable[[Sequence[Mapping[str, Any]]], object]
"""Makes records durable, in their order, before it returns."""

_IN_A_ROW: Final = 24
"""So many candidates in a row that a task raises for are not to blame."""
_TOGETHER: Final = 64
"""The most packs that are flushed to the disk together."""
_BEGINNING: Final = 64
"""Packs at the beginning of a journal that are always proposed again, and compared."""
SAMPLE: Final = 16
"""Of those that follow, each n-th is."""


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
    *,
    imprints: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> Population:
    """Run a search to the end of its budget.

    Args:
        config: what to do.
        executor: where packs are evaluated.
        append: the journal.
        records: what the journal holds already, a prefix of the same search.
        observe: called after every commit; an exception it raises ends the search, nothing is lost.
        imprints: of the tasks' data and code, to be kept with their baselines.

    Returns:
        The final population.

    Raises:
        CorruptArchive: the records are not a prefix of this search.
        DataError: a task fails for one candidate after the other.
    """
    known = _Recorded(iter(records))
    baselines = _baselines(config, executor, append, known, imprints)
    population = Population(config)
    in_flight: deque[_InFlight] = deque()
    gate, blame = _Gate(executor, append), _Blame()
    try:
        while True:
            while len(in_flight) < config.budget.window:
                if (flying := known.propose(population, SAMPLE)) is None:
                    break
                in_flight.append(flying)
                if flying.outcomes is None:
                    pack = flying.pack
                    gate.jobs[pack.number] = _job(config, pack, population, baselines)
            if not in_flight:
                if (budget := known.next_budget()) is None:
                    break
                population.budget = budget
                continue
            pack, outcomes, seconds = in_flight.popleft().parts
            recorded = outcomes is not None
            if outcomes is not None:
                population.commit(pack, outcomes)
            else:
                outcomes, seconds = gate.collect(pack.number)
                assert isinstance(outcomes, tuple)
                blame.take(outcomes)
                population.commit(pack, outcomes)
                info = {"seconds": round(seconds, 3)}
                gate.records.append(pack_record(pack, outcomes, population, info))
            observe(Progress(population, baselines, pack, recorded, seconds))
    finally:
        gate.write()
    known.require_end()
    return population


def replay(config: Config, records: Iterable[Mapping[str, Any]], every: int = SAMPLE) -> Population:
    """Return the population after the packs in a journal, without evaluating anything.

    Args:
        config: What to do.
        records: What the journal holds.
        every: Which packs are proposed again, and compared: those at the beginning, and each n-th.

    Raises:
        CorruptArchive: The records are not a prefix of this search.
    """
    known = _Recorded(iter(records))
    population = Population(config)
    in_flight: deque[_InFlight] = deque()
    while True:
        while len(in_flight) < config.budget.window:
            if (flying := known.propose(population, every)) is None:
                break
            in_flight.append(flying)
        if not in_flight:
            if (budget := known.next_budget()) is None:
                return population
            population.budget = budget
            continue
        pack, outcomes, _ = in_flight.popleft().parts
        if outcomes is None:
            return population
        population.commit(pack, outcomes)


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


@dataclass(frozen=True)
class _InFlight:
    """A pack that was proposed and is not committed."""

    pack: Pack
    outcomes: tuple[Outcome, ...] | None
    """What the journal says of it; None where it is to be evaluated."""
    seconds: float

    @property
    def parts(self) -> tuple[Pack, tuple[Outcome, ...] | None, float]:
        return self.pack, self.outcomes, self.seconds


@dataclass
class _Blame:
    """Whose fault it is that a task raises: a candidate's, until it is many in a row."""

    row: int = 0

    def take(self, outcomes: Sequence[Outcome]) -> None:
        """Take in what became of some candidates.

        Raises:
            DataError: A task raised for too many in a row.
        """
        for outcome in outcomes:
            raised = outcome.status is Status.RAISED and outcome.message.startswith("task ")
            self.row = self.row + 1 if raised else 0
            if self.row >= _IN_A_ROW:
                raise DataError(
                    f"{outcome.message}; so it did for {self.row} candidates in a row, which makes "
                    "it the task's fault and not theirs. If something around it is broken, mend "
                    "that and resume; if the task is, correct it and start a new run"
                )


@dataclass
class _Recorded:
    """What a journal holds already, read once and no further than is needed.

    Together its records may be larger than memory.
    """

    records: Iterator[Mapping[str, Any]]
    baselines: dict[str, Baseline] = field(default_factory=dict)
    budgets: deque[int] = field(default_factory=deque)
    """What the run was extended to, one after the other, as far as it was read."""
    packs: int = 0
    """Packs that were proposed."""
    _ahead: Mapping[str, Any] | None = None
    """The next record of a pack."""
    _ended: bool = False
    """Whether the end was reached; what the search itself adds there is not meant."""

    def propose(self, population: Population, every: int) -> _InFlight | None:
        """Return the next pack: from its record, or proposed, and then compared with its record.

        To propose takes most of the time that a driver has, so most packs are taken from their
        records. A version that proposes something else is noticed by the others.
        """
        record = self.ahead()
        pack = None
        if record is not None and self.packs >= _BEGINNING and self.packs % every:
            pack = pack_of(record)
        room = population.budget - population.evaluations
        if pack is not None and pack.number == self.packs and len(pack.individuals) <= room:
            population.admit(pack)
        else:
            pack = population.propose()
        if pack is None:
            return None
        self.packs += 1
        if record is None:
            return _InFlight(pack, None, 0.0)
        self._ahead = None
        seconds = float(record["info"].get("seconds", 0.0))
        return _InFlight(pack, outcomes_of(record, pack), seconds)

    def ahead(self) -> Mapping[str, Any] | None:
        """Return the record of the next pack, having read what lies before it."""
        while self._ahead is None and not self._ended:
            record = next(self.records, None)
            if record is None:
                self._ended = True
            elif record["kind"] == "reference":
                baseline = baseline_of(record)
                self.baselines[baseline.task] = baseline
            elif record["kind"] in CARRIERS:
                self._ahead = record
            elif record["kind"] == "extended":
                self.budgets.append(record["evaluations"])
        return self._ahead

    def next_budget(self) -> int | None:
        """Return what the run was extended to next; None where it was not."""
        self.ahead()
        return self.budgets.popleft() if self.budgets else None

    def require_end(self) -> None:
        """Check that no pack is left.

        Raises:
            CorruptArchive: There is one.
        """
        if (record := self.ahead()) is None:
            return
        left = 1 + sum(record["kind"] in CARRIERS for record in self.records)
        raise CorruptArchive(
            f"the journal holds {left} packs more than its configuration asks for, the first is "
            f"pack {record['pack']}; it was written by another version or edited"
        )


def baseline_jobs(config: Config) -> tuple[BaselineJob, ...]:
    """Return one job for each task of a search."""
    evaluation = config.evaluation
    refs = [ref for tier in config.tiers_of_tasks() for ref in tier]
    grid, rounds = evaluation.grid(), config.elites.rounds
    return tuple(
        BaselineJob(
            config.baseline.programs(ref.name), ref, config.seed, evaluation.seeds, rounds, grid
        )
        for ref in refs
    )


def _baselines(
    config: Config,
    executor: Executor,
    append: Append,
    known: _Recorded,
    imprints: Mapping[str, Mapping[str, Any]],
) -> dict[str, Baseline]:
    """Return the tuned baseline of every task; those that are not recorded are tuned now."""
    known.ahead()  # they precede all packs
    jobs = {-1 - i: job for i, job in enumerate(baseline_jobs(config))}
    missing = {n: job for n, job in jobs.items() if str(job.task) not in known.baselines}
    for number, job in missing.items():
        executor.submit(number, job)
    baselines = dict(known.baselines)
    for number in missing:
        baseline, seconds = executor.collect(number)
        assert isinstance(baseline, Baseline)
        info: dict[str, Any] = {"seconds": round(seconds, 3)}
        if imprint := imprints.get(baseline.task):
            info["imprint"] = dict(imprint)
        append([baseline_record(baseline, info)])
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
            population.cores[individual.id].text if pack.confirms else individual.genome_text
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
