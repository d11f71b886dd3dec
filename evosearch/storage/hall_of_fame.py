"""The hall of fame as files for people and spreadsheets, replaced atomically as a run goes on.

Both say after which record of the journal they were written, so that they can be derived again and
compared: a file that was changed is found, one that is merely older than the journal is none.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from evosearch.storage.atomic_write import write_atomic
from evosearch.storage.codec import to_json
from evosearch.storage.parquet import rebuildable

__all__ = ["FORMAT", "find_flaws", "write_hall_of_fame"]

FORMAT: Final = 3
"""The version of the two files; before it they did not say what they were written after."""

Rows = Sequence[Mapping[str, Any]]


def write_hall_of_fame(directory: Path, rows: Rows, sequence: int) -> tuple[Path, Path]:
    """Write `hall_of_fame.csv` and `hall_of_fame.json` into a run directory.

    Args:
        directory: The run directory.
        rows: The best candidates, best first; plain JSON values. Lists become JSON text in a cell.
        sequence: The journal record after which they are the best.

    Returns:
        The two files.

    Raises:
        UsageError: A value is not plain JSON.
        OSError: The files cannot be written; the old ones are still there.
    """
    files = _paths(directory)
    for path, text in zip(files, _texts(rows, sequence), strict=True):
        write_atomic(path, text)
    return files


def find_flaws(directory: Path, total: int, best: Callable[[int], Rows]) -> list[str]:
    """Return what is wrong with the two files, a paragraph each; files that are absent are not.

    Args:
        directory: The run directory.
        total: Records of its journal.
        best: Returns the rows that are to be there after a record.
    """
    found: list[str] = []
    for index, (path, read) in enumerate(zip(_paths(directory), (_of_csv, _of_json), strict=True)):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        try:
            sequence = read(content.decode())
        except (LookupError, TypeError, ValueError, csv.Error, RecursionError) as error:
            found.append(rebuildable(path, f"it is not a hall of fame ({error})"))
            continue
        if sequence is None:
            continue
        if not 1 <= sequence <= total:
            reason = f"it says to be written after record {sequence} of the {total} of the journal"
            found.append(rebuildable(path, reason))
        elif content != _texts(best(sequence), sequence)[index].encode():
            reason = f"it is not what the journal says up to record {sequence}"
            found.append(rebuildable(path, reason))
    return found


def _paths(directory: Path) -> tuple[Path, Path]:
    return directory / "hall_of_fame.csv", directory / "hall_of_fame.json"


def _texts(rows: Rows, sequence: int) -> tuple[str, str]:
    """Return the contents of the two files."""
    content = {"format": FORMAT, "sequence": sequence, "candidates": [dict(row) for row in rows]}
    plain = json.loads(to_json(content))
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in plain["candidates"] for name in row))
    table = csv.DictWriter(text, ["sequence", *names], lineterminator="\n")
    table.writeheader()
    for row in plain["candidates"] or ({},):
        cells = {name: _cell(value) for name, value in row.items()}
        table.writerow({"sequence": sequence, **cells})
    return text.getvalue(), json.dumps(plain, indent=1) + "\n"


def _of_csv(text: str) -> int | None:
    """Return the record after which it was written; None of an older version."""
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    if header[:2] == ["id", "score"]:
        return None
    return int(rows[0][header.index("sequence")])


def _of_json(text: str) -> int | None:
    data = json.loads(text)
    if data["format"] in {1, 2} and data.keys() == {"format", "candidates"}:
        return None
    if data["format"] != FORMAT:
        raise ValueError(f"expected format {FORMAT}, found {data['format']!r}")
    return int(data["sequence"])


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list) else value
