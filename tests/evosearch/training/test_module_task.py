"""A module as a task: its lanes are plain models, and what cannot be one is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.utils.data import DataLoader, TensorDataset

from benchmarks import plain
from evosearch.language.known import known
from evosearch.training.cost import run_seconds
from evosearch.training.evaluate import compile_text
from evosearch.training.examples import Examples
from evosearch.training.lanes import Entry, LearningRates, train
from evosearch.training.module_lanes import build
from evosearch.training.module_task import ModuleTask, task
from evosearch.training.problem import Problem
from proxy_tasks.data.cache import TaskDataError
from proxy_tasks.registry import get
from proxy_tasks.task import Role

ADAMW = compile_text(str(known("adamw")))
X = torch.randn(96, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = X.flatten(1)[:, :10].argmax(1)


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 10))


def convolution() -> nn.Module:
    first = (nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
    second = (nn.Conv2d(6, 8, 3, stride=2), nn.GroupNorm(2, 8), nn.ReLU())
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(72, 10))


def attention() -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    return nn.Sequential(nn.Flatten(1, 2), layer, nn.Flatten(), nn.Linear(64, 10))


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = self.layer(x.flatten(1))
        return h if h.sum() > 0 else 2 * h


MODELS = (perceptron, convolution, attention, Branching)


def of(make: Callable[[], nn.Module], **options: Any) -> ModuleTask:
    return task(make, (X, Y), cross_entropy, **{"steps": 6, "batch": 16, **options})


@pytest.mark.parametrize("make", MODELS)
def test_a_lane_is_a_plain_model_in_any_pack(make: Callable[[], nn.Module]) -> None:
    mine, rates = of(make), (1e-3, 1e-2, 3e-2)
    entry = Entry(ADAMW, tuple(LearningRates(lr, lr) for lr in rates))
    problem = Problem.of(mine, (5, 6))
    (whole,) = train(problem, [entry])
    (alone,) = train(Problem.of(mine, (6,)), [Entry(ADAMW, entry.trials[1:2])])
    assert isinstance(whole, Tensor)
    assert isinstance(alone, Tensor)
    assert torch.equal(alone[0], whole[1, 1:])
    model = build(make, 6)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rates[1], weight_decay=0.0)
    for step, index in enumerate(mine.draw(6)[0]):
        optimizer.param_groups[0]["lr"] = rates[1] * (1 - step / mine.steps)
        optimizer.zero_grad()
        cross_entropy(model(X[_kept(mine)][index]), Y[_kept(mine)][index]).backward()
        optimizer.step()
    end = cross_entropy(model.eval()(mine.held.parts[0]), mine.held.parts[1])
    assert float(alone) == pytest.approx(end.item(), rel=1e-4)


def _kept(mine: ModuleTask) -> Tensor:
    """Return where the training examples lie in the data."""
    same = (X[:, None] == mine.examples.parts[0][None]).flatten(2).all(2)
    return same.int().argmax(0)


def test_what_cannot_be_vectorized_is_trained_one_by_one_and_told() -> None:
    assert not of(perceptron).notes()
    (note,) = of(Branching).notes()
    assert "one after another, because torch.func says" in note


def test_operations_and_roles_are_those_counted_by_hand() -> None:
    digits, text = get("digits_mlp"), get("char_lm")
    assert of(partial(plain.Perceptron, (64, 32, 32, 10)), batch=64, inputs=1).steps == 6
    flat = task(partial(plain.Perceptron, (64, 32, 32, 10)), (X.flatten(1), Y), cross_entropy)
    assert flat.flops == digits.flops
    tokens = torch.randint(96, (40, 33))
    data = (tokens[:, :-1], tokens[:, 1:])
    mine = task(partial(plain.LanguageModel, text, 96), data, cross_entropy, batch=16)
    assert mine.flops == text.flops
    roles = {p.name: p.role for p in mine.parameters}
    assert roles.pop("embedding.weight") is roles.pop("position.weight") is Role.EMBEDDING
    assert roles.pop("head.weight") is Role.HEAD
    assert {*roles.values()} == {Role.HIDDEN}
    named = of(perceptron, heads=("1",))
    assert [p.role for p in named.parameters][::2] == [Role.HEAD, Role.HIDDEN]


def test_examples_are_the_same_from_tensors_a_dataset_and_a_loader() -> None:
    data = TensorDataset(X, Y)
    loader = DataLoader(data, batch_size=10)
    for given in ((X.numpy(), Y.numpy()), data, loader):
        found = Examples.of(given)
        assert all(torch.equal(a, b) for a, b in zip(found.parts, (X, Y), strict=True))
    assert task(perceptron, loader, cross_entropy).batch == 10
    assert len(task(perceptron, data, cross_entropy, validation=(X[:7], Y[:7])).held) == 7


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ((X, Y[:5]), r"\(96, 1, 8, 8\), \(5,\)"),
        (3, "a Dataset, or a DataLoader, found int"),
        ([{"a": X[0]}], "return a tuple from the Dataset"),
        ([(X[0], Y[0])], "leave examples on both sides"),
    ],
)
def test_data_that_are_none_are_refused(data: Any, words: str) -> None:
    with pytest.raises(TaskDataError, match=words):
        task(perceptron, data, cross_entropy)


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)
        self.seen = nn.Buffer(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1
        return self.layer(x.flatten(1))


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(self.layer(x.flatten(1)), 0.1)


class Fixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)
        self.table = nn.Buffer(torch.randn(10))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flatten(1)) * self.table


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Sequential(perceptron(), nn.Dropout(0.1)), "without dropout, found 1.*Set p=0"),
        (lambda: nn.TransformerEncoderLayer(8, 2), "without dropout"),
        (Counting, "changes the buffer seen.*GroupNorm"),
        (Noisy, "draws random numbers.*Switch it off"),
        (Fixed, "table is drawn at random and not trained"),
        (lambda: nn.LazyLinear(10), "call a lazy module once"),
        (lambda: perceptron().double(), "32-bit floats"),
        (nn.Flatten, "parameters to train, found none"),
        (lambda: 3, "returns a torch.nn.Module, found int"),
        (partial(lambda model: model, perceptron().requires_grad_(False)), "found none"),
    ],
)
def test_models_that_lanes_cannot_train_are_refused(make: Any, words: str) -> None:
    with pytest.raises(TaskDataError, match=words):
        _ = of(make).parameters


def test_a_loss_that_is_none_is_refused() -> None:
    each = partial(cross_entropy, reduction="none")
    with pytest.raises(TaskDataError, match=r"one number.*shape \(16,\); average"):
        _ = task(perceptron, (X, Y), each, batch=16).parameters
    with pytest.raises(TaskDataError, match=r"finite loss .* found nan"):
        _ = task(perceptron, (X * math.nan, Y), cross_entropy).parameters


def test_a_metric_of_its_own_is_what_is_validated() -> None:
    def errors(output: Tensor, y: Tensor) -> Tensor:
        return (output.argmax(1) != y).float().mean()

    mine = of(perceptron, metric=errors, validation=(X[:8], Y[:8]))
    problem = Problem.of(mine, (0,))
    (values,) = train(problem, [Entry(ADAMW, (LearningRates(0.0, 0.0),))])
    model = build(perceptron, 0)
    assert float(values[0]) == float((model(X[:8]).argmax(1) != Y[:8]).double().mean())
    assert 0 < run_seconds(mine, ADAMW) < 1


def test_regression_and_targets_of_any_kind() -> None:
    mine = task(lambda: nn.Linear(64, 1), (X.flatten(1), X.mean((1, 2, 3))[:, None]), mse_loss)
    assert not mine.notes()
