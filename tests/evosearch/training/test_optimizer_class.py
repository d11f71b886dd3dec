"""A class is trained on the same weights, data and rates as a program, and so gives the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from evosearch.errors import UsageError
from evosearch.language.known import known
from evosearch.studies.class_family import class_family
from evosearch.training.evaluate import compile_text
from evosearch.training.lanes import Entry, LearningRates, train
from evosearch.training.lr_grid import measure
from evosearch.training.optimizer_class import OptimizerClass
from evosearch.training.problem import Problem
from proxy_tasks.task import Task
from proxy_tasks.tasks.digits_conv import DigitsConv
from proxy_tasks.tasks.digits_mlp import DigitsMLP

TASK = DigitsMLP(steps=12, batch=16)
TRIALS = (LearningRates(1e-3, 3e-3), LearningRates(1e-2, 3e-3))
FILE = """
import torch

class Mine(torch.optim.SGD):
    pass

class NeedsClosure(torch.optim.SGD):
    def step(self, closure):
        return closure()

def halved(groups):
    return torch.optim.SGD([{**g, "lr": g["lr"] / 2} for g in groups])

def broken(groups):
    raise TypeError("no such groups")

value = 3
"""


def values(result: Tensor | Exception) -> Tensor:
    assert isinstance(result, Tensor), result
    return result


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "optimizer.py"
    path.write_text(FILE)
    return path


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("adamw", "torch.optim:AdamW(weight_decay=0.0)"),
        ("lion", "lion_pytorch:Lion"),
        ("muon", "torch.optim:Muon(weight_decay=0.0)"),
        ("muon", "discovered.muon:Muon"),
    ],
)
@pytest.mark.parametrize("task", [TASK, DigitsConv(steps=4, batch=8)], ids=["mlp", "conv"])
def test_a_class_trains_as_the_program_does(program: str, text: str, task: Task) -> None:
    rules, made = compile_text(str(known(program))), OptimizerClass.parse(text)
    problem = Problem.of(task, (0, 1))
    lanes, classes = train(problem, [Entry(rules, TRIALS), Entry(made, TRIALS)])
    rough = 2e-2 if program == "muon" else 1e-3  # torch's computes in bfloat16
    assert torch.allclose(values(lanes), values(classes), rtol=rough)
    (alone,) = train(Problem.of(task, (1,)), [Entry(made, TRIALS[1:])])
    assert torch.equal(values(alone)[0], values(classes)[1, 1:])
    expected, found = measure(rules, task), measure(made, task)
    for a, b in zip((expected.matrix, expected.rest), (found.matrix, found.rest), strict=True):
        assert a == pytest.approx(b, rel=3 * rough)


def test_files_factories_and_arguments(file: Path) -> None:
    made = OptimizerClass.parse(f"{file}:Mine(momentum=0.9)").checked()
    assert OptimizerClass.parse(str(made)) == made
    whole, half = (
        measure(OptimizerClass.parse(f"{file}:{x}"), TASK).matrix for x in ("Mine", "halved")
    )
    assert whole is not None
    assert half == pytest.approx(whole / 2)
    assert str(OptimizerClass.of(torch.optim.AdamW)) == "torch.optim.adamw:AdamW"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("torch.optim:Nothing", "a class or a function Nothing in torch.optim, found nothing"),
        ("no_such_module:A", "which raised ModuleNotFoundError"),
        ("nowhere.py:A", "file at .*nowhere.py, found none"),
        ("{file}:value", "found 3"),
        ("torch.optim:AdamW(betas=x)", "plain values"),
        ("torch.optim:AdamW(0.9)", "arguments have names"),
    ],
)
def test_what_is_no_optimizer_is_refused(text: str, words: str, file: Path) -> None:
    with pytest.raises(UsageError, match=words):
        OptimizerClass.parse(text.replace("{file}", str(file))).checked()


@pytest.mark.parametrize(
    ("name", "words"), [("NeedsClosure", "closure"), ("broken", "raised TypeError: no such groups")]
)
def test_a_class_that_fails_is_its_own_failure(name: str, words: str, file: Path) -> None:
    sgd, made = compile_text(str(known("sgd"))), OptimizerClass(str(file), name)
    beside, failed = train(Problem.of(TASK, (0,)), [Entry(sgd, TRIALS), Entry(made, TRIALS)])
    assert values(beside).isfinite().all()
    assert isinstance(failed, Exception)
    assert words in str(failed)


def test_only_arguments_of_known_names_are_constants() -> None:
    family = class_family(OptimizerClass.parse("torch.optim:AdamW(betas=(0.85, 0.99))"))
    assert {axis.name for axis in family.axes} == {"betas[0]", "betas[1]", "weight_decay"}
    start = OptimizerClass.parse(family.start)
    assert dict(start.arguments) == {"betas": (0.85, 0.99), "weight_decay": 0.01}
    up = family.text(tuple(axis.first + 1 for axis in family.axes))
    assert up is not None
    found = OptimizerClass.parse(up)
    assert dict(found.arguments) == {"betas": (0.9, 0.999), "weight_decay": 0.1}
