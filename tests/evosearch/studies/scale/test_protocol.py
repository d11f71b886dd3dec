"""The scale test: equal tuning, curves, going on after an interruption, what is summed up."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from scipy import stats

from evosearch.config.schema import preset
from evosearch.errors import EvosearchError, UsageError
from evosearch.language.known import known
from evosearch.studies.compare import tunable
from evosearch.studies.scale.lane import Lane, LaneResult, train_lane
from evosearch.studies.scale.protocol import ScaleTest, cost, run
from evosearch.studies.scale.result import summarize
from evosearch.studies.scale.summary import ScaleSummary, Speedup
from evosearch.studies.scale.table import correlation, markdown, rows
from evosearch.training.evaluate import compile_text
from evosearch.training.job import TaskRef
from evosearch.training.lanes import Entry, LearningRates, train
from evosearch.training.problem import Problem
from evosearch.training.seeds import derive, evaluation_seed
from evosearch.training.tunable import Tunable
from evosearch.training.tuner import Descent, TuningJob, tune
from proxy_tasks.registry import get

TASK = TaskRef("digits_mlp", {"steps": 45, "batch": 16})
NAMES = ("adamw", "lion", "momentum")
HUGE = "def huge(w, g):\n    u = g * 1e30\n    u = power(u, 9)\n    return u\n"


def scale_test(names=NAMES, **changes):
    fixed = {name: Tunable.fixed(str(known(name))) for name in names}
    return replace(ScaleTest(TASK, fixed, seeds=3, descent=Descent(7)), **changes)


def test_a_curve_is_what_training_by_hand_gives():
    lr, replicate = 0.3, 1
    program = "def sgd(w, g):\n    return g\n"
    result = train_lane(Lane(TASK, 5, program, LearningRates(lr, lr), replicate, test=True))
    task = get(TASK.name, **TASK.overrides)
    seed = evaluation_seed(5, str(TASK), replicate)
    weights = {k: v[None].requires_grad_() for k, v in task.initialize(seed).items()}
    batches = task.draw(seed)
    expected = []
    for step in range(task.steps):
        loss = task.loss(weights, tuple(data[step][None] for data in batches)).sum()
        gradients = torch.autograd.grad(loss, list(weights.values()))
        with torch.no_grad():
            for (_, w), gradient in zip(weights.items(), gradients, strict=True):
                w.sub_(gradient, alpha=lr * (1 - step / task.steps))
            exam = tuple(data[None] for data in task.validation(seed))
            expected.append(float(task.evaluate(weights, exam)))
    assert [step for step, _ in result.curve] == [*range(2, 45, 2), 45]
    assert [loss for _, loss in result.curve] == pytest.approx(
        [expected[step - 1] for step, _ in result.curve], rel=1e-4
    )


def test_watching_changes_nothing():
    problem = Problem.of(get(TASK.name, **TASK.overrides), (1, 2))
    entry = Entry(compile_text(str(known("muon"))), (LearningRates(0.01, 0.01),))
    seen = []
    (watched,) = train(problem, [entry], lambda step, weights: seen.append((step, len(weights))))
    (alone,) = train(problem, [entry])
    assert isinstance(watched, torch.Tensor)
    assert isinstance(alone, torch.Tensor)
    assert torch.equal(watched, alone)
    assert seen == [(step, 6) for step in range(1, 46)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("scale")
    test = scale_test()
    return test, directory, run(test, directory)


@pytest.mark.parametrize("constants", [False, True])
def test_what_is_chosen_is_what_the_tuner_chooses(tmp_path, constants):
    optimizers = {name: tunable(known(name), constants=constants) for name in ("adamw", "signum")}
    descent = Descent(14, fine=True)
    test = scale_test(optimizers=optimizers, descent=descent, tuning_seeds=2, seeds=2)
    contestants = run(test, tmp_path)
    for label, optimizer in optimizers.items():
        job = TuningJob(optimizer, TASK, derive("scale", 0), (0, 1), (2, 3), descent)
        tuned, found = tune(job), contestants[label]
        assert found.program == tuned.attempt.program
        assert list(found.tried.values()) == [attempt.level for attempt in tuned.trials]
        assert found.edges == tuned.edges
        ends = [found.results[lane.file].value for lane in found.tests]
        assert ends == list(tuned.values)
    assert (
        any(
            c.program != o.start
            for c, o in zip(contestants.values(), optimizers.values(), strict=True)
        )
        == constants
    )


def test_what_two_would_train_is_trained_once(tmp_path):
    text = str(known("lion"))
    twins = {"adamw": Tunable.fixed(text), "lion": Tunable.fixed(text)}
    trained = []
    run(scale_test(optimizers=twins), tmp_path, report=lambda *found: trained.append(found))
    assert len(trained) == 7 + 3


def test_everybody_is_tuned_alike_and_tested_on_the_same_seeds(finished):
    _, _, contestants = finished
    assert {len(contestant.tried) for contestant in contestants.values()} == {7}
    for contestant in contestants.values():
        assert contestant.tried[contestant.best] == min(contestant.tried.values())
        assert [lane.replicate for lane in contestant.tests] == [1, 2, 3]
        assert all(not contestant.results[lane.file].failure for lane in contestant.tests)
        assert contestant.pending() == []


def test_an_interrupted_test_goes_on_and_ends_the_same(finished, tmp_path):
    test, directory, contestants = finished
    trained = []

    def stop(_label, lane, _result):
        trained.append(lane.file)
        if len(trained) == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(test, tmp_path, report=stop)
    first = list(trained)
    run(test, tmp_path, report=lambda _label, lane, _result: trained.append(lane.file))
    assert len(set(trained)) == len(trained) > len(first) == 9
    files = sorted(path.name for path in directory.iterdir())
    assert files == sorted(path.name for path in tmp_path.iterdir())
    for name in trained:
        curves = (json.loads((d / name).read_text())["curve"] for d in (directory, tmp_path))
        assert next(curves) == next(curves)
    assert contestants["lion"].best == run(test, tmp_path)["lion"].best


def test_more_seeds_train_only_what_is_new(finished):
    test, directory, _ = finished
    trained = []
    run(replace(test, seeds=4), directory, report=lambda _l, lane, _r: trained.append(lane))
    assert [lane.replicate for lane in trained] == [4] * len(NAMES)


def test_what_was_trained_at_other_rates_is_trained_again(finished):
    test, directory, contestants = finished
    lane = contestants["lion"].tests[0]
    path = directory / lane.file
    kept = path.read_text()
    path.write_text(json.dumps(json.loads(kept) | {"rates": [0.5, 0.5]}))
    trained = []
    run(test, directory, report=lambda _label, again, _result: trained.append(again))
    assert trained == [lane]
    assert json.loads(path.read_text())["curve"] == json.loads(kept)["curve"]


@pytest.mark.slow
def test_processes_change_nothing(tmp_path):
    test = scale_test(("adamw",), seeds=2, descent=Descent(5))
    found = [run(test, tmp_path / str(workers), workers=workers) for workers in (1, 2)]
    one, two = (contestants["adamw"].results for contestants in found)
    assert len(one) == 5 + 2
    assert {file: r.curve for file, r in one.items()} == {f: r.curve for f, r in two.items()}


def test_another_test_does_not_mix_with_it(finished):
    _, directory, _ = finished
    with pytest.raises(UsageError, match="seed 0, but asked for is 1"):
        run(scale_test(seed=1), directory)


def test_a_program_that_cannot_be_trained_is_named(tmp_path):
    test = scale_test(optimizers={"it": Tunable.fixed(HUGE)})
    with pytest.raises(UsageError, match="expected it to make a step"):
        run(test, tmp_path)


def test_costs_are_of_what_is_left(finished, tmp_path):
    test, directory, _ = finished
    fresh = cost(test, tmp_path)
    assert fresh.lanes == dict.fromkeys(NAMES, 7 + 3)
    assert all(seconds > 0.0 for seconds in fresh.seconds.values())
    more = replace(test, seeds=6, optimizers=scale_test((*NAMES, "signum")).optimizers)
    left = cost(more, directory)
    assert left.lanes["signum"] == 7 + 6
    assert all(2 <= left.lanes[name] <= 3 for name in NAMES)
    assert left.total == sum(left.seconds[name] * left.lanes[name] for name in more.optimizers)


def told(curves, search, *, at=(1.0,)):
    """Return the summary of a test of 3 seeds whose curves are told, by optimizer and seed."""
    test = scale_test(tuple(curves))
    results = {}
    contestants = test.contestants(results)
    for label, contestant in contestants.items():
        while lanes := contestant.pending():
            for lane in lanes:
                curve = curves[label][lane.replicate - 1] if lane.test else [2.0]
                steps = (15, 30, 45)[-len(curve) :]
                pairs = tuple(zip(steps, curve, strict=True))
                results[lane.file] = LaneResult(pairs, 1.0)
    scores = {label: {"a": [score, score]} for label, score in search.items()}
    summary = summarize(test, contestants, scores, preset("smoke"), at)
    kept = json.loads(json.dumps(summary.to_json(), allow_nan=False))
    assert ScaleSummary.from_json(kept) == summary
    return replace(summary, look=4)


CURVES = {
    "adamw": [[4.0, 3.0, 2.0], [4.2, 3.0, 2.2], [3.8, 3.0, 1.8]],
    "lion": [[3.0, 2.0, 1.0], [3.2, 2.2, 1.2], [2.8, 1.8, 0.8]],
    "momentum": [[4.5, 4.0, 3.0], [4.5, 4.0, 3.3], [4.5, 4.0, 3.0]],
}
SEARCH = {"adamw": 0.0, "lion": 0.4, "momentum": 0.1}


def test_the_summary_is_what_the_curves_say():
    summary = told(CURVES, SEARCH, at=(1.0, 0.5))
    lion, momentum = (summary.optimizers[name] for name in ("lion", "momentum"))
    assert lion.speedup["1"] == Speedup(1.5, True, (1.5, 1.5))
    # AdamW's loss after 22.5 steps, 3.5, is higher than Lion's first value.
    assert lion.speedup["0.5"].value == pytest.approx(22.5 / 15)
    # It ends at 3.1 in the mean, which AdamW reaches after 28.5 of 45 steps.
    assert momentum.speedup["1"].value == pytest.approx(28.5 / 45, abs=1e-4)
    assert not momentum.speedup["1"].reached
    differences = [1.0, 1.1, 1.2]
    assert momentum.difference[0] == pytest.approx(1.1)
    assert momentum.difference[1] == pytest.approx(stats.sem(differences), rel=1e-4)
    logs = [math.log(a[-1] / b[-1]) for a, b in zip(CURVES["adamw"], CURVES["lion"], strict=True)]
    assert lion.score == pytest.approx((sum(logs) / 3, stats.sem(logs)), rel=1e-4)
    found = summary.rank_correlation
    scores = [0.0, lion.score[0], momentum.score[0]]
    assert found.value == pytest.approx(stats.spearmanr([0.0, 0.4, 0.1], scores)[0])
    assert found.optimizers == 3
    assert found.interval == (-1.0, 1.0)


def test_what_diverges_comes_last_and_says_so():
    wild = CURVES | {"momentum": [[9.0, math.nan, math.nan]] * 3}
    summary = told(wild, SEARCH)
    table = rows(summary)
    assert [row[0] for row in table] == ["lion", "adamw", "momentum"]
    assert table[-1][1] == "diverged"
    assert summary.optimizers["momentum"].score[0] == -10.0


def test_without_adamw_there_is_nothing_to_say():
    wild = CURVES | {"adamw": [[9.0, math.nan, math.nan]] * 3}
    with pytest.raises(EvosearchError, match="AdamW fails"):
        told(wild, SEARCH)


def test_the_section_holds_the_table_and_the_correlation():
    summary = told(CURVES, SEARCH)
    page = "\n".join(markdown(summary))
    assert page.startswith(f"## Scale test: {TASK}\n")
    assert "look 4 at held-out tasks" in page
    assert "3,466 parameters, 1 times the search's" in page
    assert "| 1.50 (1.50 to 1.50) " in page
    assert "| <0.63 (" in page
    assert correlation(summary) in page
    assert "AdamW's steps to its own end value" in page
    assert "after 50% of its steps" in "\n".join(markdown(told(CURVES, SEARCH, at=(0.5, 1.0))))
