"""The archive: a run's candidates and evaluations as Parquet, derived from its journal.

Parts (parquet.py) may be deleted and rebuilt; the journal is the truth. The tables read
here also hold what the journal has beyond the last part, so they are complete while a run goes on.
A candidate that was evaluated again has a row in each part that says something new of it, and its
last row counts; outside of this module, say in DuckDB:

    SELECT * FROM 'RUN/candidates/*.parquet'
    QUALIFY row_number() OVER (PARTITION BY id ORDER BY sequence DESC) = 1
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from evosearch.errors import CorruptArchive, NewerFormat, RunError, UsageError
from evosearch.storage.atomic_write import discard_leftovers
from evosearch.storage.codec import Record
from evosearch.storage.columns import Derived, derive, is_in
from evosearch.storage.journal import lock_run, read, scan
from evosearch.storage.parquet import (
    TABLES,
    ParquetPart,
    believed,
    digest_flaw,
    digests_flaw,
    iterate_part,
    list_parts,
    load_part,
    read_about,
    read_digests,
    rebuildable,
    table_schema,
    write_part,
)
from evosearch.storage.reader import SegmentReader
from evosearch.storage.schema import Row, reference_values

__all__ = [
    "TABLES",
    "candidates",
    "checked",
    "evaluations",
    "latest_rows",
    "lineage",
    "rebuild",
    "seal",
    "sealed",
    "verify",
]

PART_RECORDS = 512
"""The most journal records that one part covers."""

Ranges = list[tuple[ParquetPart, ...]]
"""Parts of all tables, range of records after range."""


def candidates(directory: Path) -> pa.Table:
    """Return all candidates of a run as they are known now, by id; columns as in `TABLES`.

    Raises:
        RunNotFound, NewerFormat, CorruptArchive: As for `evosearch.storage.journal.read`.
    """
    return latest_rows(_table(directory, "candidates"))


def evaluations(directory: Path, candidate: int | None = None) -> pa.Table:
    """Return all trials of a run, or of one candidate, in the order of the journal.

    Columns as in `TABLES`; raises like `candidates`.
    """
    return _table(directory, "evaluations", candidate)


def latest_rows(table: pa.Table) -> pa.Table:
    """Return the last row of each candidate, by id."""
    ids = table["id"].to_numpy()
    order = np.argsort(ids, kind="stable")
    latest = order[np.append(ids[order][1:] != ids[order][:-1], True)] if len(ids) else order
    return table.take(latest).combine_chunks()


def lineage(directory: Path, candidate: int) -> pa.Table:
    """Return a candidate and all its ancestors, oldest first, with the columns of `candidates`.

    Raises:
        UsageError: The run has no such candidate.
    """
    table = candidates(directory)
    parents = dict(zip(table["id"].to_pylist(), table["parents"].to_pylist(), strict=True))
    if candidate not in parents:
        known = f"ids from 0 to {max(parents)}" if parents else "none yet"
        raise UsageError(f"Expected a candidate of {directory} ({known}), found {candidate}.")
    found, frontier = {candidate}, [candidate]
    while frontier:
        fresh = set(parents.get(frontier.pop()) or ()) - found
        found |= fresh
        frontier += fresh
    return table.filter(is_in(table["id"], found))


def sealed(
    directory: Path, until: int | None = None, *, whole: bool = True
) -> tuple[Ranges, Iterator[Record]]:
    """Return the parts that stand for the beginning of a run's journal, and the records after them.

    Parts that are damaged, or of another journal than this one, do not count; nor do those that go
    beyond the record `until`. With `whole` all checksums of the journal are compared, also of what
    the parts stand for, which takes a few milliseconds a megabyte.

    Raises:
        RunNotFound, NewerFormat, CorruptArchive: As for `evosearch.storage.journal.scan`, at once
            or with the records.
    """
    ranges = [f for f in believed(directory) if until is None or f[0].last <= until]
    if ranges:
        last = ranges[-1][0]
        reader = SegmentReader(directory, last.last, whole=whole)
        records = iter(reader)
        first = list(islice(records, 1))
        if reader.chain_after is not None and read_about(last).get("chain") == reader.chain_after:
            return ranges, chain(first, records)
    return [], scan(directory)


def seal(directory: Path, *, full: bool = False) -> list[Path]:
    """Write parts for the committed records that have none yet; only for who holds the run's lock.

    Args:
        directory: The run directory.
        full: Leave out the last records, which are no full part yet.

    Returns:
        The new files.

    Raises:
        RunError: They cannot be written. The journal is untouched; sealing can be tried again.
        NewerFormat: There are parts of a newer format.
    """
    written = []
    try:
        discard_leftovers(directory)
        ranges, records = sealed(directory, whole=False)
        parts = [found[0] for found in ranges]
        _clear(directory, {part.path for found in ranges for part in found})
        references = reference_values(scan(directory))
        for batch in _batches(records):
            if full and len(batch) < PART_RECORDS:
                break
            derived = derive(batch, references, lambda ids: _find(_backwards(parts), ids))
            said = {"chain": batch[-1].chain, "counts": derived.counts.to_json()}
            span = batch[0].sequence, batch[-1].sequence
            fresh = [
                write_part(directory, "candidates", derived.candidates, span, said),
                write_part(directory, "evaluations", derived.evaluations, span, said),
            ]
            written += [part.path for part in fresh]
            parts.append(fresh[0])
    except OSError as error:
        raise RunError(
            f"Expected to write Parquet files to {directory}, but: {error}. The journal has all "
            "records; make room and try again."
        ) from error
    return sorted(written)


def _clear(directory: Path, kept: Collection[Path]) -> None:
    """Make the tables' folders ready for more: parts that do not count are written again."""
    for name in TABLES:
        folder = directory / name
        folder.mkdir(exist_ok=True)
        discard_leftovers(folder)
        for path in folder.glob("*.parquet"):
            if path not in kept:
                _refuse_newer(path)
                path.unlink()


def _refuse_newer(path: Path) -> None:
    with suppress(CorruptArchive):
        read_about(ParquetPart(path, 0, 0))


def rebuild(directory: Path) -> list[Path]:
    """Write all parts again from the journal and return them.

    Raises:
        RunInUse: The run is being written.
        RunError: The parts cannot be written.
        CorruptArchive: The journal is damaged, or ends before what parts say; nothing is changed.
    """
    total = 0
    for record in read(directory):  # a damaged journal is no reason to delete anything
        total = record.sequence
    if lost := _beyond(directory, total):
        raise CorruptArchive("\n".join(lost))
    lock = lock_run(directory)
    try:
        for name in TABLES:
            for path in (directory / name).glob("*.parquet"):
                path.unlink()
        return seal(directory)
    finally:
        lock.release()


def verify(directory: Path) -> list[str]:
    """Check all checksums of a run, and its parts against its journal.

    Returns:
        What is wrong, a paragraph each; empty where everything is as it was written.

    Raises:
        RunNotFound: There is no run.
    """
    findings: list[str] = []
    for _ in checked(directory, findings):
        pass
    return findings


def checked(directory: Path, findings: list[str]) -> Iterator[Record]:
    """Yield a run's records, and find what is wrong with them and with the parts on the way.

    Args:
        directory: The run directory.
        findings: What is wrong is added here, a paragraph each. After damage in the journal no
            more records come.

    Raises:
        RunNotFound: There is no run.
    """
    parts: dict[str, list[ParquetPart]] = {}
    for name in TABLES:
        try:
            parts[name] = list_parts(directory, name)
        except (CorruptArchive, NewerFormat) as error:
            findings.append(str(error))
            parts[name] = []
    check = _Check(directory, parts, findings)
    try:
        yield from check.records(scan(directory))
    except (CorruptArchive, NewerFormat) as error:
        findings.append(str(error))
    findings += _beyond(directory, check.total)
    if flaw := digests_flaw(directory):
        findings.append(flaw)


@dataclass
class _Check:
    """Compares parts with what the journal says, as its records go by."""

    directory: Path
    parts: Mapping[str, list[ParquetPart]]
    findings: list[str]
    total: int = 0
    """Records that went by."""
    _rows: dict[int, Row] = field(default_factory=dict)
    """The latest rows of candidates that were confirmed."""
    _earlier: list[Callable[[], pa.Table]] = field(default_factory=list)
    """What gives the candidates' rows of each range so far."""
    _waiting: deque[pa.Table] = field(default_factory=deque)
    """Evaluations that were not compared yet."""

    def records(self, records: Iterator[Record]) -> Iterator[Record]:
        """Yield the records."""
        references = reference_values(scan(self.directory))
        digests = read_digests(self.directory)
        left = {name: deque(found) for name, found in self.parts.items()}
        batch: list[Record] = []
        for record in records:
            self.total = record.sequence
            batch.append(record)
            yield record
            part = left["candidates"][0] if left["candidates"] else None
            if record.sequence == part.last if part else len(batch) == PART_RECORDS:
                self._compare(batch, left, references, digests)
                batch = []
        if batch:
            self._compare(batch, left, references, digests)

    def _compare(
        self,
        batch: list[Record],
        left: Mapping[str, deque[ParquetPart]],
        references: Mapping[str, list[float | None]],
        digests: dict[str, str],
    ) -> None:
        derived = derive(batch, references, self._find)
        said = {"chain": batch[-1].chain, "counts": derived.counts.to_json()}
        last = batch[-1].sequence
        sound = None
        if left["candidates"] and left["candidates"][0].last == last:
            sound = self._judge(left["candidates"].popleft(), derived.candidates, said, digests)
        self._keep(derived, sound)
        self._waiting.append(derived.evaluations)
        while left["evaluations"] and left["evaluations"][0].last <= last:
            part = left["evaluations"].popleft()
            whole = pa.concat_tables(self._waiting)
            mine = whole["sequence"].to_numpy() <= part.last
            self._waiting = deque([whole.filter(~mine)])
            about = said if part.last == last and part.first == batch[0].sequence else {}
            self._judge(part, whole.filter(mine), about, digests)
        if not left["evaluations"]:
            self._waiting.clear()

    def _judge(
        self,
        part: ParquetPart,
        expected: pa.Table,
        said: Mapping[str, Any],
        digests: dict[str, str],
    ) -> ParquetPart | None:
        """Return a part if it is sound; find what is wrong with it otherwise."""
        flaw = None
        try:
            found = load_part(part)
            about = read_about(part)
        except (CorruptArchive, NewerFormat) as error:
            flaw = str(error)
        else:
            same = all(about.get(key) == value for key, value in said.items())
            if not same or not expected.combine_chunks().equals(found.combine_chunks()):
                flaw = rebuildable(part.path, "its rows are not what the journal says")
            else:
                flaw = digest_flaw(part, digests)
        if flaw is None:
            return part
        self.findings.append(flaw)
        return None

    def _keep(self, derived: Derived, sound: ParquetPart | None) -> None:
        """Remember what is needed to tell what later records confirm."""
        table = derived.candidates
        self._earlier.append(lambda: table if sound is None else load_part(sound))
        if self._rows:
            self._rows |= _find([table], self._rows.keys())

    def _find(self, ids: Collection[int]) -> dict[int, Row]:
        self._rows |= _find(
            (load() for load in reversed(self._earlier)), set(ids) - self._rows.keys()
        )
        return {id_: self._rows[id_] for id_ in ids if id_ in self._rows}


def _beyond(directory: Path, total: int) -> list[str]:
    """Return what is wrong where parts hold more records than the journal."""
    findings: list[str] = []
    for name in TABLES:
        for path in sorted((directory / name).glob("*.parquet")):
            end = path.stem.partition("-")[2]
            if end.isdigit() and int(end) > total:
                findings.append(
                    f"{path} holds records up to {int(end)}, and the journal is sound up to record "
                    f"{total} only. Restore the run from a copy, or `evosearch resume --repair "
                    f"{directory}` computes what is missing again."
                )
    return findings


def _table(directory: Path, name: str, candidate: int | None = None) -> pa.Table:
    """Return the parts of a table and what the journal has beyond them.

    With a candidate, which only evaluations have, the rows of that one: the others are dropped as
    they are read, and parts that do not know it are not read at all.
    """
    ranges, records = sealed(directory)
    index = list(TABLES).index(name)
    earlier: list[Callable[[], pa.Table]] = [
        lambda part=found[0]: load_part(part) for found in ranges
    ]
    tables = [table_schema(name).empty_table()]
    for found in ranges:
        if candidate is None:
            tables.append(load_part(found[index]))
        elif candidate in load_part(found[0], ["id"])["id"].to_numpy():
            rows = iterate_part(found[index], list(TABLES[name]))
            tables += [batch.filter(is_in(batch["candidate"], {candidate})) for batch in rows]
    references = reference_values(scan(directory))
    for batch in _batches(records):
        derived = derive(
            batch, references, lambda ids: _find((load() for load in reversed(earlier)), ids)
        )
        earlier.append(lambda table=derived.candidates: table)
        table = getattr(derived, name)
        only = table if candidate is None else table.filter(is_in(table["candidate"], {candidate}))
        tables.append(only)
    return pa.concat_tables(tables)


def _batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    while batch := list(islice(records, PART_RECORDS)):
        yield batch


def _find(earlier: Iterable[pa.Table], ids: Collection[int]) -> dict[int, Row]:
    """Return the latest rows of the candidates with these ids; `earlier` begins with the latest."""
    missing, found = set(ids), {}
    tables = iter(earlier)
    while missing and (table := next(tables, None)) is not None:
        rows = table.filter(is_in(table["id"], missing))
        found |= {row["id"]: row for row in rows.to_pylist()}
        missing -= found.keys()
    return found


def _backwards(parts: list[ParquetPart]) -> Iterator[pa.Table]:
    return (load_part(part) for part in reversed(parts))
