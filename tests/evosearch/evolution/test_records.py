from __future__ import annotations

import json

import pytest
from fake_evaluation import config_of, drive, perform

from evosearch.equivalence.core import Core
from evosearch.equivalence.fingerprint import fingerprint
from evosearch.errors import CorruptArchive
from evosearch.evolution.loop import baseline_jobs, replay, search
from evosearch.evolution.population import Population
from evosearch.evolution.records import baseline_of, baseline_record, outcomes_of, pack_record
from evosearch.language.known import known
from evosearch.language.parse import parse_rules
from evosearch.training.baseline import Baseline, adamw
from evosearch.training.job import Outcome, Status, TaskResult
from evosearch.training.score import BOUND
from evosearch.workers.executor import LocalExecutor


def test_baselines_survive_a_record() -> None:
    for job in baseline_jobs(config_of()):
        baseline, _ = perform(job)
        assert isinstance(baseline, Baseline)
        record = json.loads(json.dumps(baseline_record(baseline, {"seconds": 2.0})))
        assert record["kind"] == "reference"
        assert baseline_of(record) == baseline


def test_outcomes_survive_a_record() -> None:
    population = Population(config_of())
    pack = population.propose()
    assert pack is not None
    good = TaskResult("digits_mlp", 0, 5, 0.25, 0, True, ())
    outcomes = [
        Outcome(Status.OK, "", 0, 0.25, None, (good, good)),
        Outcome(Status.DIVERGED, "no finite value", 0, -BOUND, None, ()),
        Outcome(Status.OK, "", 0, 0.25, 0.1, (good,)),
    ]
    population.commit(pack, outcomes)
    record = pack_record(pack, outcomes, population, {"seconds": 1.0})
    again = outcomes_of(json.loads(json.dumps(record)), pack)
    for found, outcome in zip(again, outcomes, strict=True):
        assert (found.status, found.message, found.tier) == (
            outcome.status,
            outcome.message,
            outcome.tier,
        )
        assert found.tasks == outcome.tasks
    assert [found.core for found in again] == [population.cores[i] for i in range(3)]
    assert [row["score"] for row in record["candidates"]] == [0.25, None, 0.25]


@pytest.mark.parametrize(
    "edit",
    [
        lambda record: record.update(pack=3),
        lambda record: record["candidates"].pop(),
        lambda record: record["candidates"][0].update(id=17),
        lambda record: record["candidates"][2].update(program="def f(w, g):\n    return g\n"),
    ],
)
def test_a_record_of_another_pack_is_refused(edit) -> None:
    population = Population(config_of())
    (pack,) = drive(population, 1)
    outcomes = [Outcome(Status.DIVERGED, "", 0, -BOUND, None, ())] * 3
    record = pack_record(pack, outcomes, population, {})
    assert len(outcomes_of(record, pack)) == 3
    edit(record)
    with pytest.raises(CorruptArchive, match="start a new run"):
        outcomes_of(record, pack)


def test_cores_are_found_elsewhere_and_those_of_a_record_are_believed(monkeypatch) -> None:
    """They are a function of the programs; finding them would take most of the driver's time."""
    config, records, found = config_of(), [], []
    driven = search(config, LocalExecutor(perform), records.extend)
    monkeypatch.setattr(
        "evosearch.equivalence.core.shrink", lambda rules: found.append(rules) or rules
    )
    population = replay(config, records)
    assert found == [population.individuals[0].genome]
    assert list(population.cores) == list(driven.cores)


def test_the_core_of_a_candidate_whose_worker_was_lost_is_found_here() -> None:
    population = Population(config_of())
    pack = population.propose()
    assert pack is not None
    lost = Outcome(Status.CRASHED, "its worker died", 0, -BOUND, None, ())
    population.commit(pack, [lost] * 3)
    record = pack_record(pack, [lost] * 3, population, {})
    texts = [Core.of(individual.genome).text for individual in pack.individuals]
    assert [row["canonical"] for row in record["candidates"]] == texts


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.8, 0.99), (0.0, 0.95)])
@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_baselines_are_adamw(betas: tuple[float, float], decay: float) -> None:
    rules = parse_rules(adamw(betas, decay))
    assert rules.matrix.elementwise
    same = fingerprint(rules) == fingerprint(known("adamw"))
    assert same is (betas == (0.9, 0.999) and decay == 0.01)


def test_every_task_gets_every_constant() -> None:
    config = config_of()
    jobs = baseline_jobs(config)
    assert [str(job.task) for job in jobs] == ["digits_mlp", "least_squares"]
    combinations = len(config.baseline.betas) * len(config.baseline.weight_decay)
    for job in jobs:
        assert len(set(job.programs)) == combinations
        assert (job.seeds, job.rounds) == (config.evaluation.seeds, config.elites.rounds)
        assert job.grid == config.evaluation.grid()


def test_constants_that_are_committed_are_the_references() -> None:
    known = '{"digits_mlp": {"betas": [0.5, 0.98], "weight_decay": 0.1, "warmup": 10}}'
    first, second = baseline_jobs(config_of(f"baseline.constants={known}"))
    assert first.programs == (adamw((0.5, 0.98), 0.1, 10.0),)
    assert len(second.programs) > 1
