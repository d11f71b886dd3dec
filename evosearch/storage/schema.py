"""Journal records as rows of the archive's two tables, and the layout of those records.

    {"kind": "reference", "task": "digits", "values": [0.31, 0.29]}
    {"kind": "pack", "pack": 3, "candidates": [
      {"id": 17, "parents": [4], "mutation": "insert", "program": "def ...", "canonical": "def ...",
       "fingerprint": "0f3a", "statements": 4, "states": 1, "state_memory": 1.0, "cost": 9.0,
       "status": "ok", "message": "", "tier": 0, "rounds": 1, "score": 0.12, "score_se": 0.01,
       "results": [{"task": "digits", "replicate": 0, "seed": 5, "score": 0.12, "best": 0,
         "trials": [{"lr": 0.001, "rest_lr": 0.002, "ratio": 1.0, "value": 0.27}]}]}]}
    {"kind": "confirm", "pack": 4, "candidates": [
      {"id": 17, "rounds": 2, "score": 0.1, "score_se": 0.005, "results": [...]}]}

A `reference` is tuned AdamW's end value on each replicate of a task; all precede the first pack.
In the journal "program" is the genome, and "canonical" the program as it was evaluated: the words
of the first release, kept so that digests of histories stay comparable. Nothing else says so.
A `pack` introduces candidates; a `confirm` brings new results of known ones and replaces those of
their fields that it repeats. Other keys are allowed and stay in the journal alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, Final

from evosearch.errors import CorruptArchive
from evosearch.storage.codec import Record

__all__ = ["CARRIERS", "Row", "candidate_rows", "evaluation_columns", "reference_values"]

Row = dict[str, Any]

CARRIERS: Final = frozenset({"pack", "confirm"})
"""Kinds of records of committed packs, which are numbered in this order from 0."""
_KEYS: Final = {"program": "canonical", "genome": "program"}
"""Column to key of the candidates' texts, which have other names in the journal."""
_SHARED = ("candidate", "task", "replicate", "seed", "score", "reference", "sequence")
"""What the trials of one candidate on one task and replicate have in common."""
_OWN = {"learning_rate": "lr", "rest_learning_rate": "rest_lr", "ratio": "ratio", "value": "value"}
"""Column to key of what is a trial's own."""


def candidate_rows(
    records: Iterable[Record],
    columns: Collection[str],
    find: Callable[[Collection[int]], Mapping[int, Row]],
) -> list[Row]:
    """Return one row for each candidate that the records introduce or confirm.

    Args:
        records: Consecutive records.
        columns: The fields to keep.
        find: Returns the latest rows, from before these records, of the candidates with these ids.

    Raises:
        CorruptArchive: A record is not laid out like the above, or confirms an unknown candidate.
    """
    records = list(records)
    rows: dict[int, Row] = {}
    born = {entry["id"] for record, entry in _entries(records) if record.kind == "pack"}
    confirmed = {entry["id"] for record, entry in _entries(records) if record.kind == "confirm"}
    known = find(confirmed - born)
    for record, entry in _entries(records):
        keys = {name: _KEYS.get(name, name) for name in columns}
        fields = {name: entry[key] for name, key in keys.items() if key in entry}
        if record.kind == "pack":
            row = {**fields, "pack": record.body.get("pack")}
        else:
            row = rows.get(entry["id"]) or known.get(entry["id"])
            if row is None:
                raise CorruptArchive(
                    f"Record {record.sequence} of the journal confirms candidate {entry['id']}, "
                    "which no record before it introduces. The version that wrote it is at fault."
                )
            row = {**row, **fields, "pack": row["pack"]}
        seen = {result["replicate"] for result in entry.get("results", ())}
        row["replicates"] = sorted(seen.union(row.get("replicates", ())))
        row["sequence"] = record.sequence
        rows[entry["id"]] = row
    return list(rows.values())


def evaluation_columns(
    records: Iterable[Record], references: Mapping[str, Sequence[float]]
) -> dict[str, list[Any]]:
    """Return the trials of records, each one point of the grid on one task and replicate.

    Columns, not rows: there are many trials, and as Python objects rows of them are large.

    Args:
        records: Any records.
        references: Task to the reference's end values, one a replicate.
    """
    columns: dict[str, list[Any]] = {name: [] for name in (*_SHARED, *_OWN, "best")}
    for record, entry in _entries(records):
        for result in entry.get("results", ()):
            trials, task, replicate = result["trials"], result["task"], result["replicate"]
            reference = references[task][replicate]
            shared = (entry["id"], task, replicate, result["seed"], result["score"], reference)
            for name, value in zip(_SHARED, (*shared, record.sequence), strict=True):
                columns[name] += [value] * len(trials)
            for name, key in _OWN.items():
                columns[name] += [trial[key] for trial in trials]
            columns["best"] += [index == result["best"] for index in range(len(trials))]
    return columns


def reference_values(records: Iterable[Record]) -> dict[str, list[float]]:
    """Return task to the reference's end values, from a journal's beginning."""
    beginning = takewhile(lambda record: record.kind not in CARRIERS, records)
    return {
        record.body["task"]: record.body["values"]
        for record in beginning
        if record.kind == "reference"
    }


def _entries(records: Iterable[Record]) -> Iterator[tuple[Record, Row]]:
    for record in records:
        if record.kind in CARRIERS:
            for entry in record.body["candidates"]:
                yield record, entry
