"""Extending a run: it goes on where it ended, and nothing else shows that it ended there."""

import pytest
from fake_evaluation import config_of, perform
from shuffled_executor import Shuffled

from evosearch.errors import NewerFormat, UsageError
from evosearch.evolution.loop import replay
from evosearch.runs.run import Run
from evosearch.storage import codec
from evosearch.storage.digest import compare, history
from evosearch.storage.journal import Journal, read
from evosearch.storage.seal import verify
from evosearch.workers.executor import LocalExecutor

CONFIG = config_of("budget.evaluations=14")


def create(directory):
    return Run.create(directory, CONFIG)


def searched(run, executor=None, observe=lambda _: None):
    return run.search(executor or LocalExecutor(perform), observe)


def packs(directory):
    """Return a run's history without its manifest."""
    return list(history(read(directory)))[1:]


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A finished run of 14 candidates; tests only read it."""
    return searched(create(tmp_path_factory.mktemp("runs") / "ended"))


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A finished run that was extended to 23 candidates, and then to 30."""
    run = searched(create(tmp_path_factory.mktemp("runs") / "extended"))
    for evaluations in (23, 30):
        run = searched(run.extend(evaluations))
    return run


def test_it_goes_on_to_the_new_budget_and_keeps_its_history(ended, extended):
    assert (len(extended.history.candidates), extended.budget, extended.state) == (
        30,
        30,
        "finished",
    )
    before, after = packs(ended.directory), packs(extended.directory)
    assert after[: len(before)] == before
    assert before[-1]["kind"] == "confirm"
    assert after[len(before)]["kind"] == "pack"
    assert verify(extended.directory) == []


def test_it_is_one_search_whose_scores_have_one_ranking(extended):
    records = [record.body for record in read(extended.directory)]
    population = replay(extended.config, records)
    assert len(population.individuals) == 30
    best = sorted(extended.top(30), key=lambda c: c.rank, reverse=True)
    assert [i.id for i in population.ranking()] == [c.id for c in best]


@pytest.mark.parametrize("stop", [0, 3])
def test_when_it_is_asked_for_makes_no_difference(tmp_path, extended, stop):
    def interrupt(history):
        if history.packs >= stop:
            raise KeyboardInterrupt

    run = create(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        searched(run, observe=interrupt)
    run.extend(23).extend(30)
    assert searched(Run.open(run.directory)).state == "finished"
    assert compare(read(extended.directory), read(run.directory)) is None


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_neither_completion_order_nor_interruptions_show(tmp_path, extended, seed):
    run = searched(create(tmp_path / "run"), Shuffled(seed)).extend(23)
    for end in range(run.history.packs + 1, extended.history.packs, 3):

        def interrupt(history, end=end):
            if history.packs >= end:
                raise KeyboardInterrupt

        try:
            searched(run, Shuffled(end), interrupt)
        except KeyboardInterrupt:
            continue
        run.extend(30)
    searched(run.extend(30), Shuffled(seed))
    assert compare(read(extended.directory), read(run.directory)) is None


def test_a_budget_does_not_shrink_and_asking_twice_changes_nothing(tmp_path, ended):
    run = create(tmp_path / "run").extend(20)
    before = list(read(run.directory))
    assert run.extend(20).budget == 20
    with pytest.raises(UsageError, match=r"20 evaluations or more, found 19.* 0 are done"):
        run.extend(19)
    assert list(read(run.directory)) == before
    with pytest.raises(UsageError, match=r"14 evaluations or more, found 3.* 14 are done"):
        ended.extend(3)


def test_versions_that_do_not_know_extensions_refuse_the_run(tmp_path, monkeypatch):
    for module in ("codec", "journal"):
        monkeypatch.setattr(f"evosearch.storage.{module}.FORMAT", 1)
    run = searched(create(tmp_path / "run"))
    monkeypatch.undo()
    assert run.extend(20).state == "stopped"
    assert len(list(run.directory.glob("journal/*"))) == 2
    assert searched(run).budget == 20
    monkeypatch.setattr(codec, "FORMAT", 1)
    with pytest.raises(NewerFormat, match="format 2"):
        Journal.open(run.directory)
