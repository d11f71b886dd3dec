"""The tasks by name: each a configured instance, and the split it belongs to.

Families that are held out are so whole and for good: a larger copy of a task that searches used
says whether a find holds at size, and not whether it holds elsewhere. `refuse_held_out` keeps them
out of everything that decides.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from proxy_tasks.data.cache import TaskDataError
from proxy_tasks.task import Split, Task
from proxy_tasks.tasks.char_lm import CharLM
from proxy_tasks.tasks.cifar10 import Cifar10
from proxy_tasks.tasks.digits_conv import DigitsConv
from proxy_tasks.tasks.digits_mlp import DigitsMLP
from proxy_tasks.tasks.digits_vit import DigitsViT
from proxy_tasks.tasks.least_squares import LeastSquares
from proxy_tasks.tasks.matrix_factorization import MatrixFactorization
from proxy_tasks.tasks.table import Table
from proxy_tasks.tasks.teacher_student import TeacherStudent
from proxy_tasks.tasks.token_files import TokenFiles
from proxy_tasks.tasks.token_lm import TokenLM
from proxy_tasks.tasks.two_sided_least_squares import TwoSidedLeastSquares
from proxy_tasks.tasks.varying_batch import VaryingBatch
from proxy_tasks.tasks.zipf_bigram import ZipfBigram
from proxy_tasks.user_tasks import files, name_file, own_tasks, read_tasks

__all__ = ["HELD_OUT", "TASKS", "TaskSpec", "add", "add_file", "get", "refuse_held_out"]

HELD_OUT = ("digits_vit", "table", "token_lm")
"""Families that no search and no proxy may use."""


@dataclass(frozen=True)
class TaskSpec:
    """A registered task."""

    name: str
    split: Split
    task: Task
    own: bool = False
    """Whether it is the user's."""
    file: Path | None = None
    """The user's file that defines it; None for ours, and for what only this process knows."""


def _index(*specs: TaskSpec) -> dict[str, TaskSpec]:
    index = {spec.name: spec for spec in specs}
    for name, own in own_tasks().items():
        _add(index, TaskSpec(name, Split.SEARCH, own.task, True, own.file))
    return index


def _add(index: dict[str, TaskSpec], spec: TaskSpec) -> None:
    if spec.name in index and not index[spec.name].own:
        raise TaskDataError(
            f"a task of your own is called {spec.name!r}, as one of ours; rename it"
        )
    index[spec.name] = spec


_INDEX = _index(
    TaskSpec("digits_mlp", Split.SEARCH, DigitsMLP()),
    TaskSpec("least_squares", Split.SEARCH, LeastSquares()),
    TaskSpec("matrix_factorization", Split.SEARCH, MatrixFactorization()),
    TaskSpec("varying_batch", Split.SEARCH, VaryingBatch()),
    TaskSpec(
        "varying_batch_wild", Split.SEARCH, VaryingBatch(batch=4, noise=0.5, spread=2.5, cap=64)
    ),
    TaskSpec("two_sided_least_squares", Split.SEARCH, TwoSidedLeastSquares()),
    TaskSpec(
        "teacher_student_deep",
        Split.SEARCH,
        TeacherStudent(hidden=(32, 32, 32, 32), batch=16, steps=2000),
    ),
    TaskSpec("zipf_bigram", Split.SEARCH, ZipfBigram()),
    TaskSpec("char_lm", Split.SEARCH, CharLM()),
    TaskSpec("digits_conv", Split.SELECT, DigitsConv()),
    TaskSpec("teacher_student", Split.SELECT, TeacherStudent()),
    TaskSpec("varying_batch_wide", Split.SELECT, VaryingBatch(inputs=64)),
    TaskSpec("least_squares_noisy", Split.SELECT, LeastSquares(batch=8, kappa=1e4, noise=0.3)),
    TaskSpec("char_lm_wide", Split.SELECT, CharLM(width=48, heads=3, context=64, batch=8)),
    TaskSpec("digits_vit", Split.HELD_OUT, DigitsViT()),
    TaskSpec("table_diabetes", Split.HELD_OUT, Table(data="diabetes")),
    TaskSpec("table_breast_cancer", Split.HELD_OUT, Table(data="breast_cancer")),
    TaskSpec("token_lm", Split.HELD_OUT, TokenLM()),
    TaskSpec(
        "varying_batch_large",
        Split.LARGER,
        VaryingBatch(inputs=128, batch=8, noise=0.5, cap=16, steps=600),
    ),
    TaskSpec(
        "matrix_factorization_large",
        Split.LARGER,
        MatrixFactorization(rows=128, cols=96, rank=32, kappa=1e3, steps=400),
    ),
    TaskSpec(
        "zipf_bigram_large",
        Split.LARGER,
        ZipfBigram(vocabulary=512, width=64, hidden=128, batch=512, steps=300),
    ),
    TaskSpec(
        "char_lm_2layer", Split.LARGER, CharLM(layers=2, width=64, heads=4, context=64, steps=400)
    ),
    TaskSpec(
        "char_lm_scale",
        Split.LARGER,
        CharLM(layers=2, width=96, heads=6, context=64, steps=1500, megabytes=3.0),
    ),
    TaskSpec("cifar10", Split.SEARCH, Cifar10()),
    TaskSpec("token_files", Split.SEARCH, TokenFiles()),
)
TASKS: Mapping[str, TaskSpec] = MappingProxyType(_INDEX)
"""All tasks by name, the user's own among them."""


def add(name: str, task: Task) -> None:
    """Register a task that this process alone knows, as of a notebook; one of the name is replaced.

    Raises:
        TaskDataError: One of ours has the name, or it is no name.
    """
    if not name.isidentifier():
        raise TaskDataError(f"expected a name like my_task, found {name!r}: give `name`")
    _add(_INDEX, TaskSpec(name, Split.SEARCH, task, True))


def add_file(path: Path) -> tuple[str, ...]:
    """Register the tasks in a file, here and in workers that start later; return their names.

    Raises:
        TaskDataError: It is missing, raises, or does not define what it should.
    """
    here = path.resolve()
    if here in [file.resolve() for file in files()]:
        return tuple(n for n, s in _INDEX.items() if s.file and s.file.resolve() == here)
    found = read_tasks(path)
    for name, task in found.items():
        _add(_INDEX, TaskSpec(name, Split.SEARCH, task, True, path))
    name_file(here)
    return tuple(found)


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


def refuse_held_out(names: Iterable[str], purpose: str) -> None:
    """Raise an error where a task is held out for good.

    Args:
        names: Of registered tasks.
        purpose: What they are for, as in "a search".

    Raises:
        ValueError: One of them is of a family that is held out.
    """
    held = [name for name in names if TASKS[name].split is Split.HELD_OUT]
    if held:
        others = ", ".join(name for name, s in TASKS.items() if s.split is Split.SEARCH)
        raise ValueError(
            f"expected no held-out task in {purpose}, found {', '.join(held)}: what took part in a "
            f"decision cannot test it afterwards; choose from {others}"
        )


def _hint(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    choices = "choose from " + ", ".join(known)
    return f"did you mean {near[0]!r}? Otherwise {choices}" if near else choices
