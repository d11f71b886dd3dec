"""The hall of fame as files for people and spreadsheets, replaced atomically as a run goes on."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evosearch.storage.atomic_write import write_atomic
from evosearch.storage.codec import FORMAT, to_json

__all__ = ["write_hall_of_fame"]


def write_hall_of_fame(directory: Path, rows: Sequence[Mapping[str, Any]]) -> tuple[Path, Path]:
    """Write `hall_of_fame.csv` and `hall_of_fame.json` into a run directory.

    Args:
        directory: The run directory.
        rows: The best candidates, best first; plain JSON values. Lists become JSON text in a cell.

    Returns:
        The two files.

    Raises:
        UsageError: A value is not plain JSON.
        OSError: The files cannot be written; the old ones are still there.
    """
    plain = json.loads(to_json({"format": FORMAT, "candidates": [dict(row) for row in rows]}))
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in plain["candidates"] for name in row))
    table = csv.DictWriter(text, names, lineterminator="\n")
    table.writeheader()
    for row in plain["candidates"]:
        table.writerow({name: _cell(value) for name, value in row.items()})
    files = directory / "hall_of_fame.csv", directory / "hall_of_fame.json"
    write_atomic(files[0], text.getvalue())
    write_atomic(files[1], json.dumps(plain, indent=1) + "\n")
    return files


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list) else value
