"""``evosearch tasks`` and ``evosearch primitives``: the tasks and the ops that there are."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evosearch.cli.output import AsJson, print_json, table, write
from evosearch.errors import UsageError

if TYPE_CHECKING:
    from proxy_tasks.registry import TaskSpec

__all__ = ["primitives", "tasks"]


def tasks(as_json: AsJson = False) -> None:
    """List the proxy tasks that candidates are tried on.

    Only tasks of the search split take part in a search's decisions unless you name others.

    Examples:
      evosearch tasks
      evosearch search --preset quickstart --tasks least_squares
      evosearch search --preset quickstart --set tasks.char_lm.path=my.txt
    """
    from proxy_tasks.registry import TASKS

    rows = [_describe(spec) for spec in TASKS.values()]
    if as_json:
        print_json(rows)
        return
    cells = [
        (
            row["name"],
            row["split"],
            row["size"],
            row["steps"] or "?",
            f"{row['parameters']:,}" if row["parameters"] else "?",
            row["summary"],
        )
        for row in rows
    ]
    columns = ("task", "split", "size", "steps", "parameters", "what it is")
    table(columns, cells, left=("task", "split", "size", "what it is"))


def _describe(spec: TaskSpec) -> dict[str, Any]:
    """Return a task as plain JSON; what needs data that is not there is None."""
    from proxy_tasks.data.cache import TaskDataError

    task = spec.task
    row: dict[str, Any] = {
        "name": spec.name,
        "split": spec.split.value,
        "size": "",
        "steps": task.steps,
        "parameters": None,
        "floor": None,
        "metric": task.metric,
        "summary": task.summary,
        "missing": "",
        "settings": {
            field.name: value
            for field in dataclasses.fields(task)
            if isinstance(value := getattr(task, field.name), int | float | str | tuple)
        },
    }
    try:
        row["size"] = task.size.value
        row["parameters"] = sum(parameter.numel for parameter in task.parameters)
        row["floor"] = task.floor
    except TaskDataError as error:
        row["missing"] = str(error)
    return row


def primitives(
    name: Annotated[str | None, typer.Argument(help="One op, in full.")] = None,
    *,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the whole reference page.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the ops that a program may use.

    Examples:
      evosearch primitives
      evosearch primitives newton_schulz5
      evosearch primitives --markdown > primitives.md
    """
    from primitives.reference import describe, render
    from primitives.table import FAMILIES, OPS

    if name is not None and name not in OPS:
        raise UsageError(f"unknown op `{name}`; {_near(name)}`evosearch primitives` lists them")
    if markdown:
        write(render().rstrip())
    elif as_json:
        print_json([describe(op) for op in OPS.values() if name in (None, op.name)])
    elif name is not None:
        for key, value in describe(OPS[name]).items():
            parts = value if isinstance(value, list) else [value]
            if text := ", ".join(str(part) for part in parts if part not in (None, "")):
                write(f"{key.replace('_', ' '):14} {text}")
    else:
        rows = [(describe(op)["usage"], op.signature.text, op.doc) for op in OPS.values()]
        table(("op", "shapes", "meaning"), rows, left=("op", "shapes", "meaning"))
        write(f"\n{len(OPS)} ops in {len(FAMILIES)} families.")


def _near(name: str) -> str:
    import difflib

    from primitives.table import OPS

    near = difflib.get_close_matches(name, OPS, n=1)
    return f"did you mean `{near[0]}`? " if near else ""
