"""``evosearch new``: a file of the user's own to begin with."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from evosearch.cli.output import AsJson, print_json, write
from evosearch.errors import UsageError

__all__ = ["TASK", "new"]

TASK: Final = '''\
"""A model of my own as a task: replace the model, the data and the loss."""

import torch
from sklearn.datasets import load_digits
from torch import nn

import evosearch

pixels, labels = load_digits(return_X_y=True)
x = torch.tensor(pixels, dtype=torch.float32) / 8 - 1  # the model's input, one row an example
y = torch.tensor(labels)  # what the loss compares its output with


class Net(nn.Module):
    """No dropout; GroupNorm or LayerNorm rather than BatchNorm."""

    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(64, 32)
        self.head = nn.Linear(32, 10)  # what is called head is no hidden matrix

    def forward(self, x):
        return self.head(self.hidden(x).relu())


TASKS = {
    "my_task": evosearch.task(
        Net, (x, y), nn.functional.cross_entropy, steps=100, batch=64, validation=0.25
    )
}
'''
"""The template of a task."""


class _Kind(StrEnum):
    TASK = "task"


def new(
    kind: Annotated[_Kind, typer.Argument(help="What to write: a task.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to.")
    ] = Path("my_task.py"),
    as_json: AsJson = False,
) -> None:
    """Write a Python file to begin with: a model, data and a loss as a task.

    Examples:
      evosearch new task
      evosearch doctor --tasks my_task.py
      evosearch search --tasks my_task.py
    """
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(TASK)
    except FileExistsError:
        raise UsageError(f"expected a new file, found {output}; choose another with -o") from None
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from None
    if as_json:
        print_json({"kind": kind.value, "file": str(output)})
    else:
        write(f"wrote {output}; next: evosearch doctor --tasks {output}")
