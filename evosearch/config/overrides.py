"""Single settings of a configuration, ``a.b=c``, and what to say about those that are wrong."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ValidationError

from evosearch.errors import ConfigError, DataError

if TYPE_CHECKING:
    from proxy_tasks.task import Task

__all__ = ["apply", "choose_tasks", "explain", "member", "named_tasks"]

_BY_TASK: Final = ("tasks", "elasticity")
"""Sections of a configuration with an entry for each task."""


def apply(data: dict[str, Any], setting: str) -> None:
    """Change plain data as ``a.b=c`` says; the value is JSON, or a string where it is not.

    Raises:
        ConfigError: No ``key=value``, or a key that leads through what is no section.
    """
    key, sign, text = setting.partition("=")
    if not sign or not key:
        raise ConfigError(f"`{setting}` is no setting; expected `key=value`, e.g. `budget.pack=8`")
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = text
    *path, last = key.strip().split(".")
    node: Any = data
    for part in path:
        if isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, dict):
            node = node.setdefault(part, {})
        else:
            node = None
        if not isinstance(node, dict | list):
            raise ConfigError(f"`{key}`: `{part}` is not a section of the configuration")
    if isinstance(node, list):
        if not last.isdigit() or int(last) >= len(node):
            raise ConfigError(f"`{key}`: expected an index below {len(node)}, found `{last}`")
        node[int(last)] = value
    else:
        node[last] = value


def named_tasks(tasks: Iterable[str | Path | Task]) -> list[str]:
    """Return the names of tasks, all those in a file where one is named; register what is new.

    Args:
        tasks: Each a registered task's name, a Python file of the user's that defines ``TASKS``, or
            a task itself, which workers of this process alone will know.

    Raises:
        DataError: A file or a task is not what it should be.
    """
    from proxy_tasks.data.cache import TaskDataError
    from proxy_tasks.registry import TASKS, add, add_file
    from proxy_tasks.task import Task

    names: list[str] = []
    try:
        for task in tasks:
            if isinstance(task, Task):
                own = next((n for n, spec in TASKS.items() if spec.task is task), None)
                if own is None:
                    add(task.family, task)
                names.append(own or task.family)
            elif isinstance(task, Path) or task.endswith(".py"):
                names += add_file(Path(task).expanduser())
            else:
                names.append(task)
    except TaskDataError as error:
        raise DataError(str(error)) from None
    return names


def choose_tasks(data: dict[str, Any], names: Sequence[str]) -> None:
    """Change plain data to one tier of these tasks; what it says of other tasks is dropped.

    The unit of scores stays where it is known of all of them, else scores are of losses.
    """
    for key in _BY_TASK:
        given = data.get(key, {})
        data[key] = {name: given[name] for name in names if name in given}
    if len(data["elasticity"]) < len(names):
        data["elasticity"] = {}
    data["tiers"] = [{"tasks": list(names)}]


def member(kind: str, name: str, choices: Iterable[str]) -> str:
    """Return the name if it is one of the choices.

    Raises:
        ConfigError: It is not; says which kind of thing it is, what is near and what there is.
    """
    known = tuple(choices)
    if name not in known:
        nearest = _hint(name, known)
        raise ConfigError(f"unknown {kind} `{name}`; {nearest}known are {', '.join(known)}")
    return name


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Return a fault that pydantic found in the data of a model, in a sentence.

    It is the first, or the first unknown key: a misspelt one may be why another is missing.
    """
    faults = error.errors(include_url=False)
    first = min(faults, key=lambda fault: fault["type"] != "extra_forbidden")
    key = ".".join(map(str, first["loc"]))
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, Exception):
        return f"`{key}`: {cause}" if key else str(cause)
    if first["type"] == "extra_forbidden":
        section = key.rpartition(".")[0]
        keys = list(_keys(model))
        inside = [name for name in keys if name.startswith(f"{section}.")]
        known = inside if section else list(model.model_fields)
        choices = f"known are {', '.join(known)}" if known else f"see what `{section}` may have"
        return f"unknown key `{key}`; {_hint(key, [*known, *keys])}{choices}"
    if first["type"] == "missing":
        return f"`{key}` is missing"
    wanted = _KINDS.get(first["type"]) or first["msg"].removeprefix("Input should be ")
    found = first["input"] if isinstance(first["input"], str | int | float | list | dict) else None
    return f"`{key}`: expected {wanted}" + ("" if found is None else f", found {found!r}")


_KINDS: Final = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a section",
    "model_type": "a section",
    "mapping_type": "a section",
    "too_short": "a longer list",
}
"""What was expected, by pydantic's name of the fault, where its own words are for programmers."""


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of a model and of the sections that are its direct fields."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


def _hint(name: str, known: Sequence[str]) -> str:
    """Say which known name was meant; a dotted one may lack its section."""
    near = [key for key in known if key.rpartition(".")[2] == name.rpartition(".")[2]]
    near = near or difflib.get_close_matches(name, known, n=1)
    return f"did you mean `{near[0]}`? " if near else ""
