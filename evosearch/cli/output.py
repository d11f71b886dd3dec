"""What a command prints: tables and text, or one strict JSON value."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["AsJson", "RunPath", "print_json", "progress_console", "table", "write"]

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value and nothing else.")]
"""The option that every command has."""

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="The run directory.")]
"""The argument of commands about a run."""

_PIPE_WIDTH: Final = 200
"""Columns of a table that goes to a file or a pipe, which have no width of their own."""


def _console() -> Console:
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)


def progress_console() -> Console:
    """Return the console for progress and notices, stderr."""
    return Console(file=sys.stderr, highlight=False, markup=False, emoji=False)


def write(text: str = "") -> None:
    """Print a line of results, as it is."""
    print(text, file=sys.stdout)


def print_json(value: Any) -> None:
    """Print a value as strict JSON."""
    write(json.dumps(value, allow_nan=False, indent=2, ensure_ascii=False))


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], left: Sequence[str] = ()
) -> None:
    """Print a table of plain text.

    Args:
        columns: Titles; they are right-aligned except those in `left`.
        rows: Cells, as `str` shows them.
        left: Titles of columns of words.
    """
    view = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title in columns:
        align = "left" if title in left else "right"
        view.add_column(title, justify=align, overflow="fold", no_wrap=align == "right")
    for row in rows:
        view.add_row(*(Text(str(cell)) for cell in row))
    console = _console()
    with console.capture() as capture:
        console.print(view)
    for line in capture.get().splitlines():
        write(line.rstrip())
