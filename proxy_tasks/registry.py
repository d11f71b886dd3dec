"""The tasks by name: each a configured instance, and the split it belongs to.

A held-out task takes part in no decision, so the split is a property of the registered variant and
not of its class: a two-layer language model may be held out while the one-layer one is searched on.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from proxy_tasks.char_lm import CharLM
from proxy_tasks.digits_mlp import DigitsMLP
from proxy_tasks.task import Split, Task

__all__ = ["TASKS", "TaskSpec", "get"]


@dataclass(frozen=True)
class TaskSpec:
    """A registered task."""

    name: str
    split: Split
    task: Task


def _index(*specs: TaskSpec) -> Mapping[str, TaskSpec]:
    return MappingProxyType({spec.name: spec for spec in specs})


TASKS: Mapping[str, TaskSpec] = _index(
    TaskSpec("digits_mlp", Split.SEARCH, DigitsMLP()),
    TaskSpec("char_lm", Split.SEARCH, CharLM()),
    TaskSpec("char_lm_2layer", Split.HELD_OUT, CharLM(layers=2, width=64, heads=4, steps=300)),
)
"""All tasks by name."""


def get(name: str, **overrides: Any) -> Task:
    """Return the task registered under a name, with some of its fields replaced.

    Raises:
        ValueError: There is no such task, or it has no such field.
    """
    if name not in TASKS:
        raise ValueError(f"expected a task's name, found {name!r}; {_hint(name, list(TASKS))}")
    task = TASKS[name].task
    fields = [field.name for field in dataclasses.fields(task)]
    for key in overrides:
        if key not in fields:
            raise ValueError(f"task {name} has no field {key!r}; {_hint(key, fields)}")
    return dataclasses.replace(task, **overrides)


def _hint(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    choices = "choose from " + ", ".join(known)
    return f"did you mean {near[0]!r}? Otherwise {choices}" if near else choices
