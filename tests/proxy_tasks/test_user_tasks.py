"""Tasks of the user's own: the example is one, and files that are none are explained."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional
from typer.testing import CliRunner
from workers_here import compute_here

import evosearch
from evosearch.cli.main import app
from evosearch.errors import DataError, UsageError
from proxy_tasks.data.cache import TaskDataError
from proxy_tasks.user_tasks import VARIABLE, own_tasks, read_tasks

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_task.py"


def test_the_example_trains_each_lane_as_a_model_of_its_own():
    task = read_tasks(EXAMPLE)["diabetes"]
    x, y = task.draw(0)
    models = [task.initialize(seed) for seed in (0, 1)]
    lanes = {name: torch.stack([model[name] for model in models]) for name in models[0]}
    losses = task.loss(lanes, (x[None, 0].expand(2, -1, -1), y[None, 0].expand(2, -1)))
    for loss, model in zip(losses, models, strict=True):
        hidden = functional.linear(x[0], model["first.weight"], model["first.bias"]).relu()
        errors = functional.linear(hidden, model["last.weight"]).squeeze(1) - y[0]
        assert loss == pytest.approx(float(errors.square().mean() / 2), rel=1e-5)
    assert {p.name: p.shape for p in task.parameters} == {k: v.shape for k, v in models[0].items()}


def test_the_files_of_the_environment_are_read(monkeypatch, tmp_path):
    other = tmp_path / "other.py"
    other.write_text(
        "from proxy_tasks.tasks.digits_mlp import DigitsMLP as D\nTASKS = {'mine': D()}\n"
    )
    monkeypatch.setenv(VARIABLE, f"{EXAMPLE}{os.pathsep}{other}")
    assert list(own_tasks()) == ["diabetes", "mine"]
    monkeypatch.setenv(VARIABLE, f"{other}{os.pathsep}{other}")
    with pytest.raises(TaskDataError, match=r"two files .* have a task 'mine'; rename"):
        own_tasks()
    monkeypatch.delenv(VARIABLE)
    assert own_tasks() == {}


BAD_FILES = {
    "x = 1\ny = x / 0\n": "line 2, raised ZeroDivisionError",
    "def f(:\n": "raised SyntaxError",
    "x = 1\n": "to define TASKS",
    "TASKS = 3\n": "found 3",
    "TASKS = {'a b': 3}\n": "names like my_task",
    "TASKS = {'a': 3}\n": "an instance of proxy_tasks.task.Task as 'a'",
}


@pytest.mark.parametrize("text", BAD_FILES)
def test_a_file_that_defines_no_tasks_is_explained(tmp_path, text):
    file = tmp_path / "tasks.py"
    file.write_text(text)
    with pytest.raises(TaskDataError, match=BAD_FILES[text]) as caught:
        read_tasks(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("name", ["nothing.py", "."])
def test_a_file_that_is_not_there(tmp_path, name):
    with pytest.raises(TaskDataError, match=f"found none; correct {VARIABLE}"):
        read_tasks(tmp_path / name)


RAISES = """
from dataclasses import dataclass
from proxy_tasks.tasks.digits_mlp import DigitsMLP

@dataclass(frozen=True)
class Broken(DigitsMLP):
    def loss(self, weights, batch):
        raise RuntimeError("shapes do not fit")

TASKS = {"broken": Broken()}
"""


def command(*words, files=None):
    """Run a command; in a process of its own where the environment names files, which it reads."""
    if files is None:
        return CliRunner().invoke(app, [str(word) for word in words])
    return subprocess.run(
        [sys.executable, "-m", "evosearch", *words],
        env={**os.environ, VARIABLE: str(files)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_template_is_a_task_and_a_file_is_named_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "my_task.py"
    assert command("new", "task", "-o", file).exit_code == 0
    again = command("new", "task", "-o", file)
    assert again.exit_code == 2
    assert "expected a new file" in again.stderr
    done = command("doctor", "--tasks", f"{file},other.py", "--json")
    assert "expected a file of tasks" in done.stderr
    for name in (file, file.name):
        done = command("doctor", "--tasks", name, "--json")
        (row,) = [c for c in json.loads(done.stdout)["checks"] if c["name"].startswith("task ")]
        assert row["name"] == "task my_task"
        assert "1 of them hidden matrices; a candidate, 30 runs of 100 steps, takes" in row["found"]
    assert os.environ[VARIABLE] == str(file)


def test_a_notebook_has_tasks_that_only_its_process_knows():
    x = torch.randn(40, 3)
    mine = evosearch.task(
        lambda: torch.nn.Linear(3, 1),
        (x, x[:, :1]),
        functional.mse_loss,
        steps=3,
        batch=8,
        name="line",
    )
    found = evosearch.compare("lion", tasks=[mine], seeds=2, trials=3)
    assert list(found.references) == ["line"]
    with pytest.raises(UsageError, match="expected workers=1 with line, found 2"):
        evosearch.compare("lion", tasks=[mine], seeds=2, workers=2)
    clash = evosearch.task(torch.nn.Flatten, x, functional.mse_loss, name="char_lm")
    with pytest.raises(DataError, match="'char_lm', as one of ours"):
        evosearch.preset("smoke", tasks=[clash])


def test_the_commands_know_those_of_the_environment():
    done = command("tasks", "--json", files=EXAMPLE)
    (row,) = [row for row in json.loads(done.stdout) if row["name"] == "diabetes"]
    assert row["parameters"] == 32 * 10 + 32 + 32


def test_a_task_that_raises_and_a_file_without_one_end_a_command_with_a_sentence(
    tmp_path, monkeypatch
):
    compute_here(monkeypatch)
    file = tmp_path / "broken.py"
    file.write_text(RAISES)
    done = command("evaluate", "lion", "--tasks", file)
    assert done.exit_code == 2
    assert "task `broken` raised RuntimeError: shapes do not fit" in done.stderr
    assert "Traceback" not in done.stderr
    file.write_text("TASKS = {}\n")
    done = command("tasks", files=file)
    assert done.returncode == 2
    assert "to define TASKS" in done.stderr
    assert "Traceback" not in done.stderr
