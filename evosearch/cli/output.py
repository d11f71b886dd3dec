"""What a command prints: tables and text, or one strict JSON value."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from evosearch.cli import complete
from evosearch.errors import EvosearchError
from evosearch.runs.candidate import Candidate
from evosearch.runs.printable import escaped, plain
from evosearch.runs.progress import score_text

__all__ = [
    "JSON",
    "AsJson",
    "OutputError",
    "RunPath",
    "flush",
    "print_hall_of_fame",
    "print_json",
    "progress_console",
    "table",
    "tell",
    "write",
]


class OutputError(EvosearchError):
    """Results that cannot be printed."""


def _note_json(ctx: typer.Context, value: bool) -> bool:
    ctx.meta[JSON] = value  # all contexts of a command line share it
    return value


JSON: Final = "evosearch.json"
"""The key under which a command line's context says whether results are JSON."""
AsJson = Annotated[
    bool,
    typer.Option(
        "--json", callback=_note_json, help="Print one JSON value and nothing else; errors too."
    ),
]
"""The option that every command has."""

RunPath = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="The run directory.", autocompletion=complete.run_directories
    ),
]
"""The argument of commands about a run."""

_PIPE_WIDTH: Final = 200
"""Columns of a table that goes to a file or a pipe, which have no width of their own."""

_PLAIN: Final = str.maketrans(
    {"±": "+-", "─": "-", **dict(zip("▁▂▃▄▅▆▇█", "_.,:-=+#", strict=True))}
)
"""What stands for signs that an encoding lacks."""
_FEW: Final = 3
"""Columns that are never too many for a line."""
_GAP: Final = "   "
"""Between two columns of a table."""


def progress_console() -> Console:
    """Return the console for progress and notices, stderr."""
    return Console(file=sys.stderr, highlight=False, markup=False, emoji=False)


def write(text: str = "") -> None:
    """Print a line of results.

    Raises:
        OutputError: It cannot be written.
    """
    _print(plain(text))


def flush() -> None:
    """Have all results written.

    Raises:
        OutputError: They cannot be.
    """
    _print(None)


def _print(text: str | None) -> None:
    """Print a text to stdout, or flush it.

    Raises:
        OutputError: It cannot be written.
    """
    if sys.stdout is None:
        if text is not None:
            raise OutputError("results go to stdout, which is closed")
        return
    try:
        if text is None:
            sys.stdout.flush()
        else:
            print(_printable(text), file=sys.stdout)
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.stdout = None  # and nothing more is tried when the process ends
        raise OutputError(
            f"the results could not be written to stdout: {error.strerror}. What the command did "
            "is done; print it again to a place with room"
        ) from None


def tell(text: str) -> None:
    """Print a notice to stderr, if there is anybody left to read it."""
    with suppress(OSError, ValueError):
        print(plain(text), file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """Print a value as strict JSON."""
    _print(escaped(json.dumps(value, allow_nan=False, indent=2, ensure_ascii=False)))


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], left: Sequence[str] = ()
) -> None:
    """Print a table of plain text; on a narrow terminal words wrap, and nothing is cut.

    A column that is empty throughout is left out. Where the columns are too wide even so, each row
    is a paragraph, its values named.

    Args:
        columns: Titles; they are right-aligned except those in `left`.
        rows: Cells, as `str` shows them.
        left: Titles of columns of words.
    """
    lines = [[_printable(plain(str(cell))) for cell in row] for row in (columns, *rows)]
    if len(lines) > 1:
        kept = [i for i in range(len(columns)) if any(cells[i] for cells in lines[1:])]
        columns = [columns[i] for i in kept]
        lines = [[cells[i] for i in kept] for cells in lines]
    texts = list(zip(*lines, strict=True))
    widths = [max(map(len, text)) for text in texts]
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - _width()
    for i in sorted(range(len(columns)), key=lambda i: -widths[i]):
        if columns[i] in left and excess > 0:
            least = max(len(word) for text in texts[i] for word in [*text.split(), ""])
            narrow = max(least, widths[i] - excess)
            excess, widths[i] = excess - (widths[i] - narrow), narrow
    if excess > 0 and len(columns) > _FEW:
        _paragraphs(lines[0], lines[1:])
        return
    for n, cells in enumerate(lines):
        folded = [_folded(cell, width) for cell, width in zip(cells, widths, strict=True)]
        for parts in zip_longest(*folded, fillvalue=""):
            aligned = (
                part.ljust(width) if title in left else part.rjust(width)
                for title, part, width in zip(columns, parts, widths, strict=True)
            )
            write(_GAP.join(aligned).rstrip())
        if n == 0:
            write("─" * (sum(widths) + len(_GAP) * (len(widths) - 1)))


def _paragraphs(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows as paragraphs of named values, as many on a line as fit."""
    for cells in rows:
        facts = [f"{t} {c}" if t else c for t, c in zip(columns, cells, strict=True) if c]
        if not columns[0] and cells[0] and len(facts) > 1:  # a mark belongs to what follows
            facts[:2] = [" ".join(facts[:2])]
        lines = [facts[0]]
        for fact in facts[1:]:
            if len(lines[-1]) + 2 + len(fact) <= _width():
                lines[-1] += f"; {fact}"
            else:
                lines.append(f"  {fact}")
        for line in lines:
            write(line)


def print_hall_of_fame(candidates: Sequence[Candidate]) -> None:
    """Print the best candidates, best first."""
    columns = (
        "rank",
        "id",
        "score ± se",
        "rounds",
        "seeds",
        "statements",
        "states",
        "recognized as",
    )
    rows = [
        (
            rank,
            candidate.id,
            score_text(candidate.score, candidate.error),
            candidate.rounds,
            candidate.seeds,
            candidate.statements,
            candidate.states,
            candidate.recognized.title if candidate.recognized else "",
        )
        for rank, candidate in enumerate(candidates, 1)
    ]
    table(columns, rows, left=("recognized as",))


def _folded(cell: str, width: int) -> list[str]:
    """Return the lines of a cell; a cell that fits keeps its spaces."""
    return [cell] if len(cell) <= width else textwrap.wrap(cell, width, break_on_hyphens=False)


def _printable(text: str) -> str:
    """Return a text with plain signs in place of those that stdout's encoding lacks."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return text.translate(_PLAIN)
    return text


def _width() -> int:
    """Return how many columns a table may take."""
    return shutil.get_terminal_size().columns if sys.stdout and sys.stdout.isatty() else _PIPE_WIDTH
