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

from proxy_tasks.data.cache import DataError
from proxy_tasks.task import Split, Task
from proxy_tasks.tasks.char_lm import CharLM
from proxy_tasks.tasks.cifar10 import Cifar10
from proxy_tasks.tasks.digits_conv import DigitsConv
from proxy_tasks.tasks.digits_mlp import DigitsMLP
from proxy_tasks.tasks.digits_vit import DigitsViT
from proxy_tasks.tasks.least_squares import LeastSquares
from proxy_tasks.tasks.matrix_factorization import MatrixFactorization
from proxy_tasks.tasks.teacher_student import TeacherStudent
from proxy_tasks.tasks.token_lm import TokenLM
from proxy_tasks.tasks.varying_batch import VaryingBatch
from proxy_tasks.tasks.zipf_bigram import ZipfBigram
from proxy_tasks.user_tasks import own_tasks

__all__ = ["TASKS", "TaskSpec", "get"]


@dataclass(frozen=True)
class TaskSpec:
    """A registered task."""

    name: str
    split: Split
    task: Task


def _index(*specs: TaskSpec) -> Mapping[str, TaskSpec]:
    index = {spec.name: spec for spec in specs}
    for name, task in own_tasks().items():
        if name in index:
            raise DataError(f"a task of your own is called {name!r}, as one of ours; rename it")
        index[name] = TaskSpec(name, Split.SEARCH, task)
    return MappingProxyType(index)


TASKS: Mapping[str, TaskSpec] = _index(
    TaskSpec("digits_mlp", Split.SEARCH, DigitsMLP()),
    TaskSpec("least_squares", Split.SEARCH, LeastSquares()),
    TaskSpec("matrix_factorization", Split.SEARCH, MatrixFactorization()),
    TaskSpec("varying_batch", Split.SEARCH, VaryingBatch()),
    TaskSpec(
        "varying_batch_wild", Split.SEARCH, VaryingBatch(batch=4, noise=0.5, spread=2.5, cap=64)
    ),
    TaskSpec("zipf_bigram", Split.SEARCH, ZipfBigram()),
    TaskSpec("char_lm", Split.SEARCH, CharLM()),
    TaskSpec("digits_conv", Split.SELECT, DigitsConv()),
    TaskSpec("teacher_student", Split.SELECT, TeacherStudent()),
    TaskSpec("varying_batch_wide", Split.SELECT, VaryingBatch(inputs=64)),
    TaskSpec("least_squares_noisy", Split.SELECT, LeastSquares(batch=8, kappa=1e4, noise=0.3)),
    TaskSpec("char_lm_wide", Split.SELECT, CharLM(width=48, heads=3, context=64, batch=8)),
    TaskSpec("digits_vit", Split.HELD_OUT, DigitsViT()),
    TaskSpec(
        "varying_batch_large",
        Split.HELD_OUT,
        VaryingBatch(inputs=128, batch=8, noise=0.5, cap=16, steps=600),
    ),
    TaskSpec(
        "matrix_factorization_large",
        Split.HELD_OUT,
        MatrixFactorization(rows=128, cols=96, rank=32, kappa=1e3, steps=400),
    ),
    TaskSpec(
        "zipf_bigram_large",
        Split.HELD_OUT,
        ZipfBigram(vocabulary=512, width=64, hidden=128, batch=512, steps=300),
    ),
    TaskSpec(
        "char_lm_2layer", Split.HELD_OUT, CharLM(layers=2, width=64, heads=4, context=64, steps=400)
    ),
    TaskSpec(
        "char_lm_scale",
        Split.HELD_OUT,
        CharLM(layers=2, width=96, heads=6, context=64, steps=1500, megabytes=3.0),
    ),
    TaskSpec("cifar10", Split.HELD_OUT, Cifar10()),
    TaskSpec("token_lm", Split.HELD_OUT, TokenLM()),
)
"""All tasks by name, the user's own among them."""


def get(name: str, **overrides: Any) -> Task:
    """Return the task registered under a name, with some of its fields replaced.

    Raises:
        ValueError: There is no such task or field, or a value is out of its range.
    """
    if name not in TASKS:
        raise ValueError(f"expected a task's name, found {name!r}; {_hint(name, list(TASKS))}")
    task = TASKS[name].task
    fields = [field.name for field in dataclasses.fields(task)]
    for key in overrides:
        if key not in fields:
            raise ValueError(f"task {name} has no field {key!r}; {_hint(key, fields)}")
    tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in overrides.items()}
    return dataclasses.replace(task, **tuples)


def _hint(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    choices = "choose from " + ", ".join(known)
    return f"did you mean {near[0]!r}? Otherwise {choices}" if near else choices
