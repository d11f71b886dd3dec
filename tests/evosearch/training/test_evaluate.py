# ruff: noqa: ARG001, ARG005 - every rule has the same signature
from __future__ import annotations

import dataclasses
import json
import math

import pytest
import torch
from small_tasks import ADAM, MATRIX, SGD, Closure, Regression, Rules, both

from evosearch.equivalence.core import Core
from evosearch.errors import DataError
from evosearch.language.known import known
from evosearch.training import batching, lr_grid
from evosearch.training.evaluate import evaluate, evaluate_baseline
from evosearch.training.job import Job, Outcome, Stage, Status, TaskRef
from evosearch.training.layout import Layout
from evosearch.training.lr_grid import Grid
from evosearch.training.score import BOUND
from evosearch.training.seeds import derive, evaluation_seed


def _raises(w, g, t):
    raise ValueError("bad update")


RULES = {
    "sgd": both(SGD),
    "adam": both(ADAM),
    "matrix": Rules(MATRIX, ADAM),
    "zero": both(Closure(lambda w, g, t: (0 * g,))),
    "raises": both(Closure(_raises)),
    "raises later": both(Closure(lambda w, g, t: (g / (20 - t) if t < 20 else g * (1 / 0),))),
    "ascends": both(Closure(lambda w, g, t: (-1e6 * t**20 * w,))),
    "shrinks": both(Closure(lambda w, g, t, m: (g / (1 + m) ** 3, m + 1), ADAM.states[:1])),
}
GRID = Grid(rates=3, ratios=(0.5, 1.0, 2.0), extensions=2)
TASK = TaskRef("regression")
LONGER = TaskRef("regression", {"steps": 30})
SEEDS = (0, 1, 2)


def lookup(name: str, **overrides) -> Regression:
    assert name == "regression"
    return Regression(**overrides)


def reference(task: TaskRef, seeds=SEEDS):
    return evaluate_baseline(
        "adam", task, seeds, 7, GRID, compile_rules=RULES.__getitem__, lookup=lookup
    )


ONE_STAGE = (Stage((TASK,)),)


def job(*candidates: str, stages=ONE_STAGE, **settings) -> Job:
    tasks = [task for stage in stages for task in stage.tasks]
    references = {str(task): reference(task).values for task in tasks}
    fields = {"replicates": SEEDS, "run_seed": 7, "references": references, "grid": GRID}
    return Job(candidates, stages, **(fields | settings))


def run(job: Job) -> tuple[Outcome, ...]:
    return evaluate(job, compile_rules=RULES.__getitem__, lookup=lookup)


def test_the_reference_scores_zero_against_itself():
    (outcome,) = run(job("adam"))
    assert outcome.status is Status.OK
    assert [result.score for result in outcome.tasks] == [0.0] * 3
    assert (outcome.score, outcome.score_se) == (0.0, 0.0)


def test_a_task_result_says_where_its_score_comes_from():
    wanted = job("matrix")
    (outcome,) = run(wanted)
    assert [r.replicate for r in outcome.tasks] == [0, 1, 2]
    assert [r.seed for r in outcome.tasks] == [evaluation_seed(7, "regression", r) for r in SEEDS]
    for result, against in zip(outcome.tasks, wanted.references["regression"], strict=True):
        value = result.trials[result.best].value
        assert value is not None
        assert result.score == pytest.approx(math.log(against / value))
    columns = [[math.log(t.value or math.inf) for t in r.trials] for r in outcome.tasks]
    means = [sum(row) for row in zip(*columns, strict=True)]
    assert {r.best for r in outcome.tasks} == {means.index(min(means))}


def test_an_elasticity_changes_the_unit_of_scores_and_nothing_else():
    plain, elastic = (
        run(job("matrix", stages=(Stage((TaskRef("regression", elasticity=e),)),)))[0]
        for e in (1.0, 0.25)
    )
    assert [r.score for r in elastic.tasks] == pytest.approx([4 * r.score for r in plain.tasks])
    assert elastic.score == pytest.approx(4 * plain.score)
    assert [r.trials for r in elastic.tasks] == [r.trials for r in plain.tasks]


def test_an_outcome_does_not_depend_on_its_company():
    names = ("sgd", "raises", "matrix", "zero", "adam", "ascends", "shrinks")
    alone = {name: run(job(name))[0] for name in names}
    assert run(job(*names)) == tuple(alone.values())
    assert run(job(*reversed(names))) == tuple(reversed(alone.values()))


def test_an_outcome_does_not_depend_on_the_size_of_packs(monkeypatch):
    names = ("sgd", "matrix", "adam")
    expected = run(job(*names))
    for size in (1, 1 << 40):
        monkeypatch.setattr(batching, "CACHE_BYTES", size)
        assert run(job(*names)) == expected


def test_an_outcome_is_the_same_every_time():
    assert run(job("matrix", "sgd")) == run(job("matrix", "sgd"))


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("zero", Status.DEGENERATE, "update size"),
        ("raises", Status.RAISED, "ValueError: bad update"),
        ("raises later", Status.RAISED, "ZeroDivisionError"),
        ("ascends", Status.DIVERGED, "no finite value"),
    ],
)
def test_failure_is_a_status_with_a_message_and_the_worst_score(name, status, message):
    good, outcome = run(job("sgd", name))
    assert outcome.status is status
    assert message in outcome.message
    assert outcome.score == -BOUND
    assert good.status is Status.OK
    assert good.message == ""


def test_too_much_memory_is_refused_before_training():
    small, large = run(job("sgd", "matrix", memory_limit=9 * 4 * 6 * Layout.of(Regression()).size))
    assert small.status is Status.OK
    assert large.status is Status.MEMORY
    assert large.tasks == ()


def test_a_best_trial_at_the_edge_extends_the_grid():
    (extended,) = run(job("shrinks"))  # its first steps are larger than measured: smaller rates win
    (result, *_) = extended.tasks
    assert 9 < len(result.trials) <= 9 + 3 * GRID.extensions
    rates = [trial.lr for trial in result.trials]
    assert min(rates) < min(rates[:9])
    assert all(r.trials[i].lr == t.lr for r in extended.tasks for i, t in enumerate(result.trials))

    (bounded,) = run(job("shrinks", grid=dataclasses.replace(GRID, extensions=0)))
    assert len(bounded.tasks[0].trials) == 9
    assert bounded.tasks[0].edge
    assert bounded.score <= extended.score


def test_only_candidates_over_the_hurdle_go_on():
    names = ("adam", "sgd", "zero")
    everyone = run(job(*names))
    hurdle = (everyone[0].score + everyone[1].score) / 2
    assert everyone[1].score < hurdle
    stages = (Stage((TASK,), hurdle), Stage((LONGER,)))
    adam, sgd, zero = run(job(*names, stages=stages))
    assert (adam.tier, sgd.tier, zero.tier) == (1, 0, 0)
    assert {r.task for r in adam.tasks} == {"regression", "regression[steps=30]"}
    assert sgd == everyone[1]
    assert run(job("sgd", stages=stages)) == (sgd,)


def test_the_core_is_evaluated_where_the_job_asks_for_it():
    redundant = str(known("lion")).replace("u = sign(c)", "x = exp(g)\n    u = sign(c)")
    core = Core.of(known("lion"))
    references = job("adam").references
    plain = Job((core.text, core.text), ONE_STAGE, SEEDS, 7, references, GRID)
    asked = dataclasses.replace(plain, candidates=(redundant, core.text), shrink=True)
    told = evaluate(asked, lookup=lookup)
    assert [outcome.core for outcome in told] == [core, core]
    assert [dataclasses.replace(outcome, core=None) for outcome in told] == [
        *evaluate(plain, lookup=lookup)
    ]
    assert Outcome.from_json(json.loads(json.dumps(told[0].to_json()))) == told[0]


def test_jobs_and_outcomes_survive_json():
    wanted = job("matrix", "ascends", "zero", stages=(Stage((TASK, LONGER), -1.5),))
    assert Job.from_json(json.loads(json.dumps(wanted.to_json(), allow_nan=False))) == wanted
    for outcome in run(wanted):
        text = json.dumps(outcome.to_json(), allow_nan=False)
        assert Outcome.from_json(json.loads(text)) == outcome


def test_a_job_without_its_references_is_refused():
    with pytest.raises(ValueError, match=r"regression.*3 replicates"):
        job("sgd", references={})


def test_a_failing_reference_is_an_error():
    with pytest.raises(DataError, match="fails on task regression"):
        evaluate_baseline(
            "ascends", TASK, SEEDS, 7, GRID, compile_rules=RULES.__getitem__, lookup=lookup
        )


def test_seeds_depend_on_what_they_are_for_alone():
    assert evaluation_seed(7, "digits_mlp", 0) == evaluation_seed(7, "digits_mlp", 0)
    names = [(run, task, i) for run in (0, 1) for task in ("a", "b") for i in range(50)]
    assert len({evaluation_seed(*name) for name in names}) == len(names)
    assert derive("ab", "c") != derive("a", "bc")
    assert derive("a", 1) != derive("a", "1")
    # A change of this number changes every recorded run.
    assert evaluation_seed(7, "digits_mlp", 0) == 1394378897744233415


def test_what_a_task_raises_on_ones_weights_is_that_candidates_result(monkeypatch):
    loss = Regression.loss

    def fragile(task, weights, batch):
        if weights["first"].abs().max() > 1e3:
            raise torch.linalg.LinAlgError("did not converge")
        return loss(task, weights, batch)

    wanted = job("sgd", "ascends", "adam")
    monkeypatch.setattr(Regression, "loss", fragile)
    sgd, lost, adam = run(wanted)
    assert (lost.status, lost.message) == (
        Status.RAISED,
        "task regression raised _LinAlgError: did not converge",
    )
    assert (sgd, adam) == (run(job("sgd"))[0], run(job("adam"))[0])


def test_a_loss_below_its_floor_is_refused(monkeypatch):
    monkeypatch.setattr(Regression, "floor", property(lambda _: 0.01))
    wanted = job("adam")
    monkeypatch.setattr(Regression, "floor", property(lambda _: 10.0))
    for refused in (lambda: reference(TASK), lambda: run(wanted)):
        with pytest.raises(DataError, match=r"ended at .*, below its floor of 10,"):
            refused()


def test_a_task_that_always_raises_is_to_blame_itself(monkeypatch):
    wanted = job("sgd")
    lr_grid.recorded.cache_clear()

    def broken(*_):
        raise KeyError("weight")

    monkeypatch.setattr(Regression, "gradient", broken)
    with pytest.raises(DataError, match="task regression raised KeyError: 'weight', at its init"):
        run(wanted)
    lr_grid.recorded.cache_clear()
