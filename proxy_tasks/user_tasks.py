"""Tasks of the user's own, in Python files that the environment variable EVOSEARCH_TASKS names.

Such a file defines ``TASKS``, a dictionary of names and tasks. It is a variable of the environment,
or a word of a command, and not a key of the configuration, because it names code: a run directory
that somebody sends must not be able to have any executed.
"""

from __future__ import annotations

import os
import sys
import traceback
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from proxy_tasks.data.cache import TaskDataError
from proxy_tasks.task import Task

__all__ = ["VARIABLE", "OwnTask", "files", "name_file", "own_tasks", "read_tasks"]

VARIABLE = "EVOSEARCH_TASKS"
"""The environment variable with the files' names, separated as in PATH."""
_MODULE = "own_tasks_"
"""How the names of their modules begin."""


@dataclass(frozen=True)
class OwnTask:
    """A task and the file that defines it."""

    task: Task
    file: Path


def own_tasks() -> dict[str, OwnTask]:
    """Return the tasks in the files that the environment names.

    Raises:
        TaskDataError: A file is missing, raises, or does not define what it should.
    """
    tasks: dict[str, OwnTask] = {}
    for path in files():
        for key, task in read_tasks(path).items():
            if key in tasks:
                raise TaskDataError(f"two files of {VARIABLE} have a task {key!r}; rename one")
            tasks[key] = OwnTask(task, path)
    return tasks


def files() -> list[Path]:
    """Return the files that the environment names."""
    names = filter(None, os.environ.get(VARIABLE, "").split(os.pathsep))
    return [Path(name).expanduser() for name in names]


def name_file(path: Path) -> None:
    """Name a file in the environment, for workers as well."""
    os.environ[VARIABLE] = os.pathsep.join(map(str, [*files(), path]))


def read_tasks(path: Path) -> dict[str, Task]:
    """Run a file and return the tasks that it defines.

    Raises:
        TaskDataError: It is missing, raises, or does not define what it should.
    """
    tasks = getattr(_run(path), "TASKS", None)
    if not isinstance(tasks, dict) or not tasks:
        found = "nothing of that name" if tasks is None else f"{tasks!r:.80}"
        raise TaskDataError(f"expected {path} to define TASKS = {{'name': task}}, found {found}")
    for name, task in tasks.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise TaskDataError(f"expected names like my_task in TASKS of {path}, found {name!r}")
        if not isinstance(task, Task):
            raise TaskDataError(
                f"expected an instance of proxy_tasks.task.Task as {name!r} in TASKS of {path}, "
                f"found {task!r:.80}"
            )
    return tasks


def _run(path: Path) -> ModuleType:
    if not path.is_file():
        raise TaskDataError(f"expected a file of tasks at {path}, found none; correct {VARIABLE}")
    spec = spec_from_file_location(f"{_MODULE}{path.stem}", path)
    if spec is None or spec.loader is None:
        raise TaskDataError(f"expected a Python file, NAME.py, found {path}; correct {VARIABLE}")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for the types of their fields
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        places = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        line = f", line {places[-1].lineno}" if places else ""
        raise TaskDataError(
            f"{path}{line}, raised {type(error).__name__}: {error}; correct it, or take it out of "
            f"{VARIABLE}"
        ) from error
    return module
