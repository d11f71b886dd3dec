"""The search loop: what happens outside it, when and in which order, never shows in the records."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from fake_evaluation import config_of, perform, quality
from shuffled_executor import Shuffled

from evosearch.config.schema import Config
from evosearch.errors import ClusterError, CorruptArchive, DataError
from evosearch.evolution import loop
from evosearch.evolution.individual import Pack
from evosearch.evolution.loop import Progress, replay, search
from evosearch.evolution.population import Population
from evosearch.training.baseline import BaselineJob
from evosearch.training.job import Job, Outcome, Status
from evosearch.training.score import BOUND
from evosearch.workers.executor import AnyJob, LocalExecutor, Timed

Record = Mapping[str, Any]


def run(
    config: Config,
    executor=None,
    records: list[Record] | None = None,
    observe: Callable[[Progress], None] = lambda _: None,
) -> tuple[list[Record], Population]:
    """Search to the end; return all records, those it began with included."""
    journal = list(records or ())
    population = search(
        config, executor or LocalExecutor(perform), journal.extend, tuple(journal), observe
    )
    return journal, population


def history(records: list[Record]) -> list[Record]:
    """Return records without timings, as the journal would give them back."""
    kept = [{k: v for k, v in record.items() if k != "info"} for record in records]
    return json.loads(json.dumps(kept))


CONFIG = config_of()
RECORDS, POPULATION = run(CONFIG)


def test_records_tell_the_whole_story() -> None:
    kinds = [record["kind"] for record in RECORDS]
    assert kinds[:2] == ["reference", "reference"]
    assert set(kinds[2:]) == {"pack", "confirm"}
    packs = RECORDS[2:]
    assert [record["pack"] for record in packs] == list(range(len(packs)))
    rows = [row for record in packs if record["kind"] == "pack" for row in record["candidates"]]
    assert [row["id"] for row in rows] == list(range(CONFIG.budget.evaluations))
    for row, individual in zip(rows, POPULATION.individuals, strict=True):
        assert row["program"] == str(individual.genome)
        assert row["canonical"] == POPULATION.cores[individual.id].text
        assert row["fingerprint"] == individual.fingerprint
        assert row["parents"] == list(individual.parents)
    last = {row["id"]: row for record in packs for row in record["candidates"]}
    for individual in POPULATION.ranking():
        fitness = POPULATION.fitnesses[individual.id]
        row = last[individual.id]
        assert (row["score"], row["rounds"]) == (fitness.score, fitness.rounds)
    assert history(RECORDS) == [
        {k: v for k, v in record.items() if k != "info"} for record in RECORDS
    ]


@pytest.mark.parametrize("seed", range(3))
def test_completion_order_never_shows(seed: int) -> None:
    records, _ = run(CONFIG, Shuffled(seed))
    assert history(records) == history(RECORDS)


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_resumed_after_every_record_it_is_the_same_run(every: int) -> None:
    stored = json.loads(json.dumps(RECORDS))
    for k in (1, *range(0, len(stored), every), len(stored)):
        records, population = run(CONFIG, Shuffled(k), stored[:k])
        assert history(records) == history(RECORDS), f"resumed after {k} records"
        assert population.fitnesses == POPULATION.fitnesses


@pytest.mark.parametrize("error", [KeyboardInterrupt, ClusterError])
def test_an_interrupted_run_goes_on(error: type[BaseException]) -> None:
    records: list[Record] = []
    for stop in (3, 4, 9):

        def observe(_: Progress, stop: int = stop) -> None:
            if len(records) >= stop + 2:
                raise error

        with pytest.raises(error):
            search(CONFIG, Shuffled(stop), records.extend, tuple(records), observe)
    assert history(records) == history(RECORDS[: len(records)])
    records, _ = run(CONFIG, None, records)
    assert history(records) == history(RECORDS)


def test_a_lost_cluster_loses_nothing() -> None:
    class Lost(LocalExecutor):
        def collect(self, number: int) -> Timed:
            if number == 4:
                raise ClusterError("gone")
            return super().collect(number)

    records: list[Record] = []
    with pytest.raises(ClusterError):
        search(CONFIG, Lost(perform), records.extend)
    assert [record.get("pack") for record in records] == [None, None, 0, 1, 2, 3]
    assert history(run(CONFIG, None, records)[0]) == history(RECORDS)


def test_nobody_is_confirmed_twice_on_the_same_seeds() -> None:
    records, _ = run(config_of("elites.final=6", "budget.pack=2", "budget.window=4"))
    packs = [record for record in records if record["kind"] == "confirm"]
    confirmed = [(row["id"], pack["round"]) for pack in packs for row in pack["candidates"]]
    assert len(confirmed) > 6
    assert len(set(confirmed)) == len(confirmed)


@pytest.mark.parametrize("front", [False, True])
def test_in_the_end_the_front_is_confirmed_if_that_is_asked_for(front: bool) -> None:
    asked = f"elites.front={str(front).lower()}"
    records, _ = run(config_of("elites.every=100", "elites.final=1", asked))
    first = next(record for record in records if record["kind"] == "confirm")
    assert (len(first["candidates"]) > 1) is front


TASK, RULE = "task `digits_mlp` raised ValueError: no", "ZeroDivisionError: no"


@pytest.mark.parametrize(
    ("status", "message", "rows", "blamed"),
    [
        (Status.RAISED, TASK, (24,), True),
        (Status.RAISED, TASK, (23, 23), False),  # one that works is between them
        (Status.RAISED, RULE, (50,), False),  # a rule's own doing
        (Status.MEMORY, TASK, (50,), False),
    ],
)
def test_a_task_that_raises_for_many_in_a_row_is_to_blame(
    status: Status, message: str, rows: Sequence[int], blamed: bool
) -> None:
    plan = deque([fails for row in rows for fails in (*[True] * row, False)])
    failure = Outcome(status, message, 0, -BOUND, None, (), None)

    def planned(job: AnyJob) -> Timed:
        results, seconds = perform(job)
        if not isinstance(job, Job):
            return results, seconds
        assert isinstance(results, tuple)
        fails = [bool(plan and plan.popleft()) for _ in results]
        return tuple(failure if f else r for f, r in zip(fails, results, strict=True)), seconds

    records: list[Record] = []
    config = config_of("budget.evaluations=60")
    if blamed:
        with pytest.raises(DataError, match="24 candidates in a row"):
            search(config, LocalExecutor(planned), records.extend)
        assert records  # what came before is kept
    else:
        search(config, LocalExecutor(planned), records.extend)
    assert not plan or blamed


def test_what_led_to_a_job_is_on_the_disk_before_the_job_is_submitted() -> None:
    class Ready(LocalExecutor):
        """Every result is at hand as soon as it is asked for."""

        def submit(self, number: int, job: AnyJob) -> None:
            super().submit(number, job)
            known = {record["pack"] for record in records if "pack" in record}
            assert known >= set(range(number + 1 - CONFIG.budget.window))

        def ready(self, number: int) -> bool:
            return number in self._waiting

    records: list[Record] = []
    sizes: list[int] = []

    def append(batch: Sequence[Record]) -> None:
        records.extend(batch)
        sizes.append(len(batch))

    search(CONFIG, Ready(perform), append)
    assert history(records) == history(RECORDS)
    assert max(sizes) == CONFIG.budget.window
    sizes.clear()
    search(CONFIG, LocalExecutor(perform), append)
    assert set(sizes) == {1}


def test_nothing_is_evaluated_twice_on_resuming() -> None:
    jobs: list[AnyJob] = []

    def counted(job: AnyJob) -> Timed:
        jobs.append(job)
        return perform(job)

    run(CONFIG, LocalExecutor(counted), RECORDS[:9])
    assert not any(isinstance(job, BaselineJob) for job in jobs)
    assert len(jobs) == len(RECORDS) - 9


def test_the_window_bounds_what_is_in_flight() -> None:
    class Watched(LocalExecutor):
        most = 0

        def submit(self, number: int, job: AnyJob) -> None:
            super().submit(number, job)
            self.most = max(self.most, sum(n >= 0 for n in self._waiting))

    for window in (1, 2, 5):
        executor = Watched(perform)
        run(config_of(f"budget.window={window}"), executor)
        assert executor.most == window


def test_the_window_shapes_the_history_and_workers_do_not() -> None:
    wide = config_of("budget.window=5")
    assert history(run(wide)[0]) == history(run(wide, Shuffled(1))[0])
    assert history(run(wide)[0]) != history(RECORDS)


def test_jobs_hold_programs_fresh_replicates_and_hurdles() -> None:
    jobs: dict[tuple[str, ...], Job] = {}

    def keep(job: AnyJob) -> Timed:
        if isinstance(job, Job):
            jobs[(*job.candidates, str(job.replicates))] = job
        return perform(job)

    records, population = run(CONFIG, LocalExecutor(keep))
    for record in records[2:]:
        texts = [
            str(population.individuals[row["id"]].genome)
            if record["kind"] == "pack"
            else population.cores[row["id"]].text
            for row in record["candidates"]
        ]
        seeds = CONFIG.evaluation.seeds
        replicates = tuple(range(record["round"] * seeds, (record["round"] + 1) * seeds))
        job = jobs[(*texts, str(replicates))]
        assert job.run_seed == CONFIG.seed
        assert [[str(t) for t in stage.tasks] for stage in job.stages] == [
            ["digits_mlp"],
            ["least_squares"],
        ]
        for task in ("digits_mlp", "least_squares"):
            assert job.references[task] == tuple(1.0 + 0.01 * r for r in replicates)
        hurdles = [stage.hurdle for stage in job.stages]
        assert (hurdles == [-BOUND, -BOUND]) is (record["kind"] == "confirm")
        assert job.shrink is (record["kind"] == "pack")


def test_failures_are_recorded_and_the_search_goes_on() -> None:
    def fails(text: str) -> bool:
        return quality(text) < -0.2

    records, population = run(CONFIG, LocalExecutor(lambda job: perform(job, fails)))
    rows = [r for record in records[2:] for r in record["candidates"] if record["kind"] == "pack"]
    assert len(rows) == CONFIG.budget.evaluations
    failed = [row for row in rows if fails(row["canonical"])]
    assert len(failed) > 5
    for row in failed:
        assert row["status"] == "diverged"
        assert row["message"] == "as asked"
        assert row["score"] is None
        assert row["results"] == []
        assert row["id"] not in population.fitnesses
    again, _ = run(CONFIG, LocalExecutor(lambda job: perform(job, fails)), records[:7])
    assert history(again) == history(records)


def test_what_was_not_written_by_this_search_is_refused() -> None:
    other, _ = run(config_of(seed=5))
    for k in (3, 8, len(other)):
        with pytest.raises(CorruptArchive, match="not the pack"):
            run(CONFIG, None, other[:k])
    longer, _ = run(config_of("budget.evaluations=60"))
    with pytest.raises(CorruptArchive):
        run(CONFIG, None, longer)


def test_records_beyond_the_budget_are_refused() -> None:
    extra = {**RECORDS[-1], "pack": len(RECORDS) - 2}
    with pytest.raises(CorruptArchive, match="1 packs more than its configuration asks for"):
        run(CONFIG, None, [*RECORDS, extra])
    more = [extra, {**extra, "pack": len(RECORDS) - 1}]
    with pytest.raises(CorruptArchive, match="2 packs more than its configuration asks for"):
        run(CONFIG, None, [*RECORDS, *more])


SMALL = (
    "start=signsgd",
    "population.tuning=0.6",
    "space.max_statements=5",
    "budget.evaluations=60",
)
"""A search that now and then finds no new constants of a form."""
BY_SIZE = ("population.by_size=true", "population.tuning=0.4", "budget.evaluations=40")


@pytest.mark.parametrize("settings", [(), SMALL, BY_SIZE])
def test_packs_that_are_taken_from_their_records_give_the_same_run(
    settings: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(*settings)
    whole, driven = run(config)
    stored = json.loads(json.dumps(whole))
    monkeypatch.setattr(loop, "_BEGINNING", 1)
    monkeypatch.setattr(loop, "SAMPLE", 1000)
    proposed: list[int] = []
    propose = Population._breed

    def counted(self: Population):
        proposed.append(self._numbers)
        return propose(self)

    monkeypatch.setattr(Population, "_breed", counted)
    if settings is SMALL:
        assert any(record["info"].get("closed") for record in stored)
    for k in range(2, len(stored), 8):
        records, population = run(config, Shuffled(k), stored[:k])
        assert history(records) == history(whole), f"resumed after {k} records"
        assert population.fitnesses == driven.fitnesses
        assert population._tuning._open == driven._tuning._open
    proposed.clear()
    population = replay(config, stored, 1000)
    assert proposed == [0]
    assert (population.evaluations, population.hits) == (driven.evaluations, driven.hits)
    assert list(population.individuals) == list(driven.individuals)


def test_the_first_packs_and_every_so_many_after_them_are_proposed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "_BEGINNING", 5)
    admitted: list[int] = []
    admit = Population.admit

    def counted(self: Population, pack: Pack) -> None:
        admitted.append(pack.number)
        admit(self, pack)

    monkeypatch.setattr(Population, "admit", counted)
    replay(CONFIG, RECORDS, 4)
    new = [record["pack"] for record in RECORDS if record["kind"] == "pack"]
    assert admitted == [number for number in new if number >= 5 and number % 4]
    assert len(admitted) > 4


def test_packs_of_older_versions_are_proposed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = json.loads(json.dumps(RECORDS))
    for record in stored:
        record["info"].clear()
    monkeypatch.setattr(loop, "_BEGINNING", 1)
    monkeypatch.setattr(Population, "admit", None)
    seconds: list[float] = []
    records, _ = run(CONFIG, None, stored[:9], lambda progress: seconds.append(progress.seconds))
    assert history(records) == history(RECORDS)
    assert seconds[:7] == [0.0] * 7  # nobody wrote down how long they took
    assert set(seconds[7:]) == {0.5}


def test_records_that_cannot_come_next_are_not_taken_on_trust(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "_BEGINNING", 1)
    stored = json.loads(json.dumps(RECORDS))
    new = [record for record in stored if record["kind"] == "pack"]
    small = config_of("budget.evaluations=31")
    number = next(r["pack"] for r in new if r["candidates"][0]["id"] == 30)  # of 3, and 1 is left
    with pytest.raises(CorruptArchive, match=f"pack {number} of the journal"):
        replay(small, stored, 1000)
    new[5]["pack"] += 1
    with pytest.raises(CorruptArchive, match=f"not the pack {new[5]['pack'] - 1}"):
        replay(CONFIG, stored, 1000)


def test_what_a_search_appends_is_not_taken_for_what_was_there() -> None:
    journal = list(RECORDS[:9])

    class Reader:
        """Goes on at the end when there is more, as a reader of a file does."""

        position = 0

        def __iter__(self) -> Reader:
            return self

        def __next__(self) -> Record:
            if self.position == len(journal):
                raise StopIteration
            self.position += 1
            return journal[self.position - 1]

    reader = Reader()
    search(CONFIG, LocalExecutor(perform), journal.extend, reader)
    assert history(journal) == history(RECORDS)
    assert reader.position == 9


def test_a_search_that_would_propose_something_else_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored = json.loads(json.dumps(RECORDS))
    stored[6]["candidates"][0]["program"] = "def f(w, g):\n    return g\n"
    number = stored[6]["pack"]
    monkeypatch.setattr(loop, "_BEGINNING", 1)
    with pytest.raises(CorruptArchive, match=f"pack {number} of the journal"):
        replay(CONFIG, stored, number)
    monkeypatch.setattr(loop, "SAMPLE", number)
    with pytest.raises(CorruptArchive, match=f"pack {number} of the journal"):
        run(CONFIG, None, stored)


def test_an_edited_program_is_refused() -> None:
    stored = json.loads(json.dumps(RECORDS))
    stored[3]["candidates"][1]["program"] = "def f(w, g):\n    return g\n"
    with pytest.raises(CorruptArchive, match="pack 1 of the journal"):
        run(CONFIG, None, stored)
    with pytest.raises(CorruptArchive):
        replay(CONFIG, stored)


def test_replay_evaluates_nothing_and_gives_the_state() -> None:
    for k in (0, 2, 5, len(RECORDS)):
        population = replay(CONFIG, RECORDS[:k])
        packs = [r for r in RECORDS[:k] if r["kind"] == "pack"]
        known = {row["id"] for record in packs for row in record["candidates"]}
        assert population.fitnesses.keys() <= known
    assert replay(CONFIG, RECORDS).fitnesses == POPULATION.fitnesses


def test_what_was_extended_goes_on_where_it_ended() -> None:
    short = config_of("budget.evaluations=14")
    ended, _ = run(short)
    journal = [*ended, {"kind": "extended", "evaluations": 23}]
    assert replay(short, journal).budget == 23
    records, population = run(short, None, journal)
    assert population.evaluations == len(population.individuals) == 23
    assert history(records[: len(journal)]) == history(journal)
    assert replay(short, records).fitnesses == population.fitnesses
    again, _ = run(short, None, records[: len(journal) + 2])
    assert history(again) == history(records)


def test_observers_see_every_commit() -> None:
    seen: list[Progress] = []
    run(CONFIG, None, RECORDS[:6], seen.append)
    assert [progress.pack.number for progress in seen] == list(range(len(RECORDS) - 2))
    assert [progress.replayed for progress in seen] == [n < 4 for n in range(len(RECORDS) - 2)]
    assert set(seen[0].baselines) == {"digits_mlp", "least_squares"}
    assert seen[-1].population.evaluations == CONFIG.budget.evaluations
    assert all(progress.seconds == 0.5 for progress in seen)
