"""Candidates that parts know: columns of all of them at once, and single ones in full."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa

from evosearch.storage.columns import is_in
from evosearch.storage.parquet import ParquetPart, iterate_part, load_part, read_about, table_schema
from evosearch.storage.schema import KEYS, Counts, Row

__all__ = ["SealedCandidates", "table_of"]

_AT_HAND: Final = 4
"""Parts that are kept as they were read."""
_MEASURED: Final = ("task", "replicate", "seed", "score", "edge")
_BEST: Final = {"learning_rate": "lr", "rest_learning_rate": "rest_lr", "value": "value"}


class SealedCandidates:
    """The candidates of a run's parts, each as its last row has it, by id.

    Args:
        ranges: Sound parts of both tables, range of records after range
            (`evosearch.storage.seal.sealed`).
    """

    def __init__(self, ranges: Sequence[tuple[ParquetPart, ...]]) -> None:
        self._ranges = ranges
        ids = [load_part(found[0], ["id"])["id"].to_numpy() for found in ranges]
        self._all_ids = np.concatenate([*ids, np.zeros(0, np.int64)])
        self._part = np.repeat(np.arange(len(ids)), [len(part) for part in ids])
        starts = np.cumsum([0, *map(len, ids)])[:-1]
        self._row = np.arange(len(self._all_ids)) - np.repeat(starts, [len(part) for part in ids])
        order = np.argsort(self._all_ids, kind="stable")
        ordered = self._all_ids[order]
        last = np.append(ordered[1:] != ordered[:-1], True)  # of those of one id
        self._latest = order[last[: len(order)]]
        self.ids = self._all_ids[self._latest]
        """Their ids, ascending."""
        self._candidates = lru_cache(_AT_HAND)(lambda part: load_part(ranges[part][0]))
        self._best = lru_cache(_AT_HAND)(self._read_best)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def counts(self) -> Counts:
        """What the parts' records add up to besides their candidates."""
        total = Counts()
        for found in self._ranges:
            total.add(Counts.of(read_about(found[0])["counts"]))
        return total

    def table(self, columns: Sequence[str]) -> pa.Table:
        """Return columns of all candidates, by id."""
        tables = [load_part(found[0], columns) for found in self._ranges]
        return pa.concat_tables(tables).take(pa.array(self._latest)).combine_chunks()

    def rows(self, places: Sequence[int]) -> list[Row]:
        """Return some candidates as a record of a pack has them, with the best trials alone.

        Args:
            places: Which, as positions in `ids`.
        """
        at = self._latest[np.array(places, np.int64)]
        found: dict[int, Row] = {}
        for part in np.unique(self._part[at]):
            mine = at[self._part[at] == part]
            rows = self._candidates(int(part)).take(pa.array(self._row[mine])).to_pylist()
            found |= {row["id"]: row for row in rows}
        results: dict[int, list[Row]] = {id_: [] for id_ in found}
        wanted = np.array(sorted(found), np.int64)
        for part in np.unique(self._part[np.isin(self._all_ids, wanted)]):
            best = self._best(int(part))
            for row in best.filter(is_in(best["candidate"], found)).to_pylist():
                results[row["candidate"]].append(_result(row))
        return [_row(found[int(id_)], results[int(id_)]) for id_ in self._all_ids[at]]

    def _read_best(self, part: int) -> pa.Table:
        names = ["candidate", *_MEASURED, *_BEST, "best"]
        batches = iterate_part(self._ranges[part][1], names)
        found = [batch.filter(batch["best"]).drop_columns("best") for batch in batches]
        return pa.concat_tables(found).combine_chunks()


def _result(row: Row) -> Row:
    """Return a task's result as a record has it, its best trial being the only one."""
    trial: dict[str, Any] = {key: row[name] for name, key in _BEST.items()}
    return {name: row[name] for name in _MEASURED} | {"best": 0, "trials": [trial]}


def _row(columns: Row, results: list[Row]) -> Row:
    """Return a candidate's row as a record has it."""
    return {KEYS.get(name, name): value for name, value in columns.items()} | {"results": results}


def table_of(
    columns: Sequence[str],
    rows: Sequence[Row],
    sealed: SealedCandidates | None,
    places: Sequence[int],
) -> pa.Table:
    """Return columns of candidates.

    Args:
        columns: Their names.
        rows: Candidates that the parts do not know.
        sealed: Those that they know.
        places: Which, in order: positions among the rows, or -1 - k for number k of the sealed.
    """
    schema = pa.schema([table_schema("candidates").field(name) for name in columns])
    known = [pa.Table.from_pylist(list(rows), schema)]
    known += [sealed.table(columns)] if sealed is not None else []
    at = [place if place >= 0 else len(rows) - 1 - place for place in places]
    return pa.concat_tables(known).take(pa.array(at, pa.int64())).combine_chunks()
