# ruff: noqa: ARG001 - every rule has the same signature
from __future__ import annotations

import pytest
import torch
from small_tasks import ADAM, MATRIX, SGD, Closure, Regression, Rules, both
from torch import nn

from evosearch.language.known import KNOWN, known
from evosearch.training import lanes as lanes_module
from evosearch.training.evaluate import compile_text
from evosearch.training.lanes import Entry, LearningRates, arithmetic, train
from evosearch.training.layout import Layout
from evosearch.training.problem import Problem
from evosearch.training.update import UpdateRules, state_entries
from primitives.shape import FULL, ROWWISE, SCALAR
from proxy_tasks.data.digits import TRAINING, digits
from proxy_tasks.tasks.digits_mlp import DigitsMLP

TRIALS = (LearningRates(1e-3, 3e-3), LearningRates(1e-2, 1e-2), LearningRates(1e-1, 1e-2))


def values(result: torch.Tensor | Exception) -> torch.Tensor:
    assert isinstance(result, torch.Tensor), result
    return result


def plain_loop(task: DigitsMLP, seed: int, make_optimizer) -> float:
    """Train the task's model alone, with torch.nn, torch.optim and a torch scheduler."""
    images, labels = digits(torch.float64, torch.device("cpu"))
    a, b = task.hidden
    layers = [nn.Linear(64, a), nn.ReLU(), nn.Linear(a, b), nn.ReLU(), nn.Linear(b, 10)]
    model = nn.Sequential(*layers).double()
    initial = task.initialize(seed)
    for i, layer in enumerate(layers[::2]):
        with torch.no_grad():
            layer.weight.copy_(initial[f"layer{i}.weight"])  # type: ignore[union-attr]
            layer.bias.copy_(initial[f"layer{i}.bias"])  # type: ignore[union-attr]
    hidden = [layers[0].weight, layers[2].weight]
    others = [layers[0].bias, layers[2].bias, layers[4].weight, layers[4].bias]
    optimizer = make_optimizer(hidden, others)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=task.steps)
    (batches,) = task.draw(seed)
    for index in batches:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[index]), labels[index]).backward()
        optimizer.step()
        scheduler.step()
    with torch.no_grad():
        held_out = slice(TRAINING, None)
        return float(nn.functional.cross_entropy(model(images[held_out]), labels[held_out]))


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_a_lane_equals_a_model_trained_alone(name: str):
    task = DigitsMLP(steps=12, batch=16, hidden=(8, 8))
    seeds = (3, 4)
    rules = both({"sgd": SGD, "adam": ADAM}[name])
    (found,) = train(Problem.of(task, seeds, torch.float64), [Entry(rules, TRIALS)])

    for row, trial in zip(values(found), TRIALS, strict=True):

        def optimizer(hidden, others, trial=trial):
            groups = [{"params": hidden, "lr": trial.matrix}, {"params": others, "lr": trial.rest}]
            if name == "sgd":
                return torch.optim.SGD(groups)
            return torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-8)

        expected = [plain_loop(task, seed, optimizer) for seed in seeds]
        assert row.tolist() == pytest.approx(expected, rel=1e-9)


def programs() -> list[UpdateRules]:
    texts = [str(known(name)) for name in ("adamw", "muon", "lion", "momentum", "rmsprop")]
    return [*map(compile_text, texts), Rules(MATRIX, ADAM), both(SGD)]


@pytest.mark.parametrize(
    "task", [Regression(), DigitsMLP(steps=6, batch=32)], ids=lambda t: t.family
)
def test_a_result_does_not_depend_on_the_pack_to_the_last_bit(task):
    problem = Problem.of(task, (1,))
    rules = programs()
    entries = [Entry(r, TRIALS[: 1 + i % 3]) for i, r in enumerate(rules)]
    alone = [values(train(problem, [entry])[0]) for entry in entries]
    for order in ([0, 1, 2, 3, 4, 5, 6], [6, 3, 1, 0], [2, 2, 5, 4], [1, 6]):
        together = train(problem, [entries[i] for i in order])
        for i, found in zip(order, together, strict=True):
            assert torch.equal(values(found), alone[i])


def test_no_known_optimizer_depends_on_its_pack_to_the_last_bit():
    problem = Problem.of(Regression(), (1, 2))
    rules = [compile_text(str(known(name))) for name in KNOWN]
    entries = [Entry(r, TRIALS[: 1 + i % 3]) for i, r in enumerate(rules)]
    together = train(problem, entries)
    backwards = train(problem, entries[::-1])[::-1]
    for entry, found, other in zip(entries, together, backwards, strict=True):
        alone = values(train(problem, [entry])[0])
        assert torch.equal(values(found), alone)
        assert torch.equal(values(other), alone)


@pytest.mark.parametrize("lanes_a_seed", [1, 100])
def test_a_result_does_not_depend_on_the_trials_and_seeds_beside_it(lanes_a_seed, monkeypatch):
    monkeypatch.setattr(lanes_module, "LANES_A_SEED", lanes_a_seed)
    task = DigitsMLP(steps=6, batch=32)
    for rules in programs():
        (whole,) = train(Problem.of(task, (1, 2, 3)), [Entry(rules, TRIALS)])
        for i, trial in enumerate(TRIALS):
            for j, seed in enumerate((1, 2, 3)):
                (single,) = train(Problem.of(task, (seed,)), [Entry(rules, (trial,))])
                assert torch.equal(values(single)[0, 0], values(whole)[i, j])


def test_an_exception_is_its_own_candidates_result():
    def fails(w, g, t):
        if t == 3:
            raise RuntimeError("the algorithm failed to converge")
        return (g,)

    problem = Problem.of(Regression(), (1,))
    good = [Entry(both(ADAM), TRIALS), Entry(Rules(MATRIX, ADAM), TRIALS)]
    alone = train(problem, good)
    first, error, second = train(problem, [good[0], Entry(both(Closure(fails)), TRIALS), good[1]])
    assert isinstance(error, RuntimeError)
    assert torch.equal(values(first), values(alone[0]))
    assert torch.equal(values(second), values(alone[1]))


def test_a_diverging_lane_leaves_the_others_alone():
    problem = Problem.of(Regression(), (1,))
    wild = (LearningRates(1e-3, 1e-3), LearningRates(float("inf"), 1e30))
    (expected,) = train(problem, [Entry(both(ADAM), TRIALS)])
    diverged, found = train(problem, [Entry(both(SGD), wild), Entry(both(ADAM), TRIALS)])
    assert torch.isfinite(values(diverged))[:, 0].tolist() == [True, False]
    assert torch.equal(values(found), values(expected))


@pytest.mark.parametrize("rules", [both(SGD), both(ADAM), Rules(MATRIX, ADAM)])
def test_every_trial_has_its_own_rates_and_those_of_zero_move_nothing(rules):
    task = Regression()
    trials = (
        LearningRates(1e-3, 2e-3),
        LearningRates(4e-3, 0.0),
        LearningRates(0.0, 0.0),
        LearningRates(0.0, 8e-3),
        LearningRates(1e-2, 0.1),
    )
    seen: list[dict[str, torch.Tensor]] = []

    def watch(step, weights):
        if step == task.steps:
            seen.append({name: w.detach().clone() for name, w in weights.items()})

    problem = Problem.of(task, (1,))
    train(
        problem, [Entry(both(SGD), TRIALS), Entry(rules, trials), Entry(both(SGD), TRIALS)], watch
    )
    for trial in trials:
        train(problem, [Entry(rules, (trial,))], watch)
    together, *alone = seen
    initial = task.initialize(1)
    for name in together:
        hidden = name in ("first", "middle")
        for i, trial in enumerate(trials):
            end = together[name][3 + i]
            assert torch.equal(end, alone[i][name][0])
            rate = trial.matrix if hidden else trial.rest
            assert torch.equal(end, initial[name]) is (rate == 0.0)


def test_a_rule_may_keep_its_inputs_as_states():
    def delayed(w, g, t, last, weights):
        return last + 0.1 * (w - weights), g, w

    def delayed_copy(w, g, t, last, weights):
        return last + 0.1 * (w - weights), g.clone(), w.clone()

    problem = Problem.of(Regression(), (1,))
    entries = [Entry(both(Closure(f, (FULL, FULL))), TRIALS) for f in (delayed, delayed_copy)]
    found, expected = train(problem, entries)
    assert torch.equal(values(found), values(expected))


def test_states_have_their_shapes_for_every_parameter():
    shapes: set[tuple[int, ...]] = set()

    def rule(w, g, t, row, scalar):
        shapes.update({(*row.shape[-2:], *w.shape[-2:]), tuple(scalar.shape[-2:])})
        return g, row, scalar

    closure = Closure(rule, (ROWWISE, SCALAR), elementwise=False)
    rules = both(closure)
    train(Problem.of(Regression(), (1,)), [Entry(rules, TRIALS)])
    assert shapes == {(6, 1, 6, 4), (6, 1, 6, 6), (2, 1, 2, 6), (1, 1, 1, 6), (1, 1)}
    assert state_entries(Layout.of(Regression()), rules) == (6 + 6 + 2 + 1) + 4


def test_repeated_training_is_bitwise_the_same():
    problem = Problem.of(Regression(), (1, 2))
    entry = Entry(Rules(MATRIX, ADAM), TRIALS)
    (first,), (second,) = train(problem, [entry]), train(problem, [entry])
    assert torch.equal(values(first), values(second))


def test_torchs_settings_are_restored():
    threads = torch.get_num_threads()
    with arithmetic():
        assert torch.get_num_threads() == 1
        assert torch.tensor(1e-40) * 0.5 == 0.0
        with arithmetic():
            pass
        assert torch.tensor(1e-40) * 0.5 == 0.0
    assert torch.get_num_threads() == threads
    assert torch.tensor(1e-40) * 0.5 != 0.0
