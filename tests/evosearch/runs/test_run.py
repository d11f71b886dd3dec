"""Runs from Python: what the history says is what the search itself knew."""

import pytest
from cli_runs import SETTINGS

import evosearch
from evosearch.config.preflight import check_task
from evosearch.errors import ConfigError, DataError, RunExists, UsageError
from evosearch.evolution.loop import replay
from evosearch.runs.run import Run
from evosearch.storage.digest import digest
from evosearch.storage.journal import Bodies, read
from evosearch.storage.seal import candidates, lineage


@pytest.fixture
def run(small_run):
    return evosearch.Run.open(small_run)


@pytest.mark.processes
def test_one_call_searches(tmp_path, run):
    seen = []
    config = evosearch.preset("smoke", SETTINGS)
    found = evosearch.search(
        config, tmp_path / "run", workers=1, observe=lambda history: seen.append(history.packs)
    )
    assert found.digest() == run.digest()
    assert found.state == "finished"
    assert seen == sorted(seen)
    assert seen[-1] == run.history.packs
    with pytest.raises(RunExists):
        evosearch.search(config, tmp_path / "run")


def test_the_history_agrees_with_the_population(run):
    population = replay(run.config, Bodies(run.directory))
    ranking = [i.id for i in population.ranking()]
    once = {id_ for id_, fitness in population.fitnesses.items() if fitness.rounds == 1}
    assert 0 < len(once) < len(ranking)
    assert [c.id for c in run.top(100)] == sorted(ranking, key=lambda id_: id_ in once)
    assert [c.id for c in run.top(100, True)] == [id_ for id_ in ranking if id_ not in once]
    assert [c.id for c in run.top(3, False)] == [id_ for id_ in ranking if id_ in once][:3]
    for candidate in run.top(100):
        fitness = population.fitnesses[candidate.id]
        assert (candidate.score, candidate.error) == (fitness.score, fitness.error)
        assert (candidate.tier, candidate.rounds) == (fitness.tier, fitness.rounds)
        assert candidate.genome == population.individuals[candidate.id].genome
        assert candidate.program == population.cores[candidate.id].rules
    assert run.history.proposals == population.proposals
    assert run.history.cache_hits == population.hits
    assert len(run.history.candidates) == population.evaluations


def test_the_history_agrees_with_the_archive(run):
    table = candidates(run.directory).to_pylist()
    assert [row["id"] for row in table] == sorted(run.history.candidates)
    for row in table:
        candidate = run.candidate(row["id"])
        assert (candidate.score, candidate.error) == (row["score"], row["score_se"])
        assert (candidate.program_text, candidate.genome_text) == (row["program"], row["genome"])
    best = run.top(1)[0]
    ancestors = lineage(run.directory, best.id)["id"].to_pylist()
    assert [c.id for c in run.history.ancestors(best.id)] == sorted(ancestors, reverse=True)


def test_the_score_is_the_mean_over_seeds_and_tasks(run):
    for candidate in run.top(100):
        scores = [score.mean for score in candidate.task_scores().values()]
        assert candidate.score == pytest.approx(sum(scores) / len(scores))
        assert candidate.seeds == candidate.rounds == len(candidate.measurements)


def test_the_manifest_says_what_the_run_was_made_with(run):
    manifest = run.manifest
    assert evosearch.Config.model_validate(manifest["config"]) == run.config
    assert manifest["seeds"] == {"run": 0}
    assert {"python", "torch", "numpy", "ray"} <= set(manifest["versions"])
    assert manifest["hardware"]["cores"] >= 1
    assert len(manifest["source"]["commit"]) == 40
    assert run.digest() == digest(read(run.directory))
    assert run.state == "finished"
    assert run.writer is None


def test_a_search_of_a_finished_run_does_nothing(run):
    before = list(read(run.directory))
    again = run.search()
    assert list(read(run.directory)) == before
    assert [c.id for c in again.top()] == [c.id for c in run.top()]


def test_an_observer_that_raises_ends_the_search_and_loses_nothing(tmp_path):
    def stop(history):
        if history.packs == 2:
            raise RuntimeError("enough")

    run = Run.create(tmp_path / "run", evosearch.preset("smoke"))
    with pytest.raises(RuntimeError, match="enough"):
        run.search(observe=stop)
    assert Run.open(run.directory).history.packs == 2
    assert candidates(run.directory).num_rows == 8


def test_nothing_is_written_over(small_run, tmp_path):
    with pytest.raises(RunExists, match="resume"):
        Run.create(small_run, evosearch.preset("smoke"))
    with pytest.raises(RunExists):
        Run.create(small_run / "lock", evosearch.preset("smoke"))
    missing = evosearch.preset(
        "smoke", ['tiers=[{"tasks":["char_lm"]}]', "tasks.char_lm.path=/nothing"]
    )
    with pytest.raises(DataError, match="char_lm"):
        Run.create(tmp_path / "run", missing)
    assert not (tmp_path / "run").exists()


def test_what_is_not_there(run):
    with pytest.raises(UsageError, match="ids go from 0 to 15"):
        run.candidate(99)
    with pytest.raises(DataError, match="cifar10"):
        check_task("cifar10", {})
    config = {**run.manifest["config"], "novelty": 1}
    foreign = Run(run.directory, {**run.manifest, "config": config}, run.history)
    with pytest.raises(ConfigError, match="novelty"):
        _ = foreign.config


def test_one_call_compares(as_json, tmp_path):
    settings = ["evaluation.rates=3", "evaluation.ratios=[1.0]", "evaluation.extensions=0"]
    settings += ["baseline.betas=[[0.9, 0.99]]", "baseline.weight_decay=[0.0]"]
    lion = evosearch.known("lion")
    text = "def mine(w, g):\n    u = sign(g)\n    return u\n"
    found = evosearch.compare("sgd", lion, text, seeds=2, settings=settings)
    assert {contender.label for contender in found.contenders} == {"sgd", "lion", "mine"}
    (tmp_path / "mine.py").write_text(text)
    changes = [word for setting in settings for word in ("--set", setting)]
    words = ("compare", "sgd", "lion", tmp_path / "mine.py", "--seeds", 2, *changes)
    by_command = {row["program"]: row["score"] for row in as_json(*words)["contenders"]}
    assert {str(c.rules): c.total.mean for c in found.contenders} == by_command
    with pytest.raises(UsageError, match="did you mean `lion`"):
        evosearch.compare("lino")


def test_a_search_on_what_is_held_out_is_refused_before_anything_is_written(tmp_path):
    config = evosearch.preset(
        "smoke", ['tiers=[{"tasks":["table_diabetes"]}]', "baseline.constants={}"]
    )
    with pytest.raises(UsageError, match="no held-out task in a search, found table_diabetes"):
        Run.create(tmp_path / "run", config)
    assert not (tmp_path / "run").exists()
