"""The archive: a run's candidates and evaluations as Parquet, derived from its journal.

Parts (parquet.py) may be deleted and rebuilt; the journal is the truth. The tables read
here also hold what the journal has beyond the last part, so they are complete while a run goes on.
A candidate that was evaluated again has a row in each part that says something new of it, and its
last row counts; outside of this module, say in DuckDB:

    SELECT * FROM 'RUN/candidates/*.parquet'
    QUALIFY row_number() OVER (PARTITION BY id ORDER BY sequence DESC) = 1
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from evosearch.errors import CorruptArchive, NewerFormat, RunError, UsageError
from evosearch.storage.atomic_write import discard_leftovers
from evosearch.storage.codec import Record
from evosearch.storage.journal import lock_run, read
from evosearch.storage.parquet import (
    TABLES,
    Part,
    digest_flaw,
    list_parts,
    load_part,
    read_digests,
    rebuildable,
    table_schema,
    write_part,
)
from evosearch.storage.schema import Row, candidate_rows, evaluation_columns, reference_values

__all__ = ["TABLES", "candidates", "evaluations", "lineage", "rebuild", "seal", "verify"]

PART_RECORDS = 512
"""The most journal records that one part covers."""


def candidates(directory: Path) -> pa.Table:
    """Return all candidates of a run as they are known now, by id; columns as in `TABLES`.

    Raises:
        RunNotFound, NewerFormat, CorruptArchive: As for `evosearch.storage.journal.read`; for a
            damaged part the message says how to rebuild it.
    """
    table = _table(directory, "candidates")
    ids = table["id"].to_numpy()
    order = np.argsort(ids, kind="stable")
    latest = order[np.append(ids[order][1:] != ids[order][:-1], True)] if len(ids) else order
    return table.take(latest).combine_chunks()


def evaluations(directory: Path) -> pa.Table:
    """Return all trials of a run in the order of the journal; raises like `candidates`."""
    return _table(directory, "evaluations")


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
    return table.filter(_is_in(table["id"], found))


def seal(directory: Path) -> list[Path]:
    """Write parts for the committed records that have none yet; only for who holds the run's lock.

    Returns:
        The new files.

    Raises:
        RunError: They cannot be written. The journal is untouched; sealing can be tried again.
    """
    written = []
    try:
        discard_leftovers(directory)
        parts = {name: _begin(directory, name) for name in TABLES}
        ends = {name: found[-1].last if found else 0 for name, found in parts.items()}
        for batch in _batches(read(directory, min(ends.values()))):
            for name in TABLES:
                if records := [record for record in batch if record.sequence > ends[name]]:
                    first, last = records[0].sequence, records[-1].sequence
                    table = _derive(name, records, _load_backwards(parts[name]), directory)
                    parts[name].append(write_part(directory, name, table, first, last))
                    written.append(parts[name][-1].path)
    except OSError as error:
        raise RunError(
            f"Expected to write Parquet files to {directory}, but: {error}. The journal has all "
            "records; make room and try again."
        ) from error
    return sorted(written)


def _begin(directory: Path, name: str) -> list[Part]:
    """Return a table's parts, its folder being ready for more."""
    folder = directory / name
    parts = list_parts(directory, name)
    folder.mkdir(exist_ok=True)
    discard_leftovers(folder)
    if not parts:  # those of an older format are written again
        for stale in folder.glob("*.parquet"):
            stale.unlink()
    return parts


def rebuild(directory: Path) -> list[Path]:
    """Write all parts again from the journal and return them.

    Raises:
        RunInUse: The run is being written.
        RunError: The parts cannot be written.
    """
    for _ in read(directory):  # a damaged journal is no reason to delete anything
        pass
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
    total = 0
    try:
        for record in read(directory):
            total = record.sequence
    except (CorruptArchive, NewerFormat) as error:
        findings.append(str(error))
    for name in TABLES:
        try:
            findings += _verify_parts(directory, name, total)
        except (CorruptArchive, NewerFormat) as error:
            findings.append(str(error))
    return list(dict.fromkeys(findings))


def _verify_parts(directory: Path, name: str, total: int) -> Iterator[str]:
    """Yield what is wrong with a table's parts; the journal is sound up to record `total`."""
    records = read(directory)
    parts, digests = list_parts(directory, name), read_digests(directory)
    for index, part in enumerate(parts):
        found = None
        try:
            found = load_part(part)
        except CorruptArchive as error:
            yield str(error)
        if part.last > total:
            yield (
                f"{part.path} holds records up to {part.last}, and the journal is sound up to "
                f"record {total} only. Restore the run from a copy, or `evosearch resume --repair "
                f"{directory}` computes what is missing again."
            )
            continue
        batch = list(islice(records, part.last - part.first + 1))
        expected = _derive(name, batch, _load_backwards(parts[:index]), directory)
        if found is not None and not expected.equals(found):
            yield rebuildable(part.path, "its rows are not what the journal says")
        elif found is not None and (flaw := digest_flaw(part, digests)):
            yield flaw


def _table(directory: Path, name: str) -> pa.Table:
    """Return the parts of a table and what the journal has beyond them."""
    parts = list_parts(directory, name)
    tables = [table_schema(name).empty_table(), *(load_part(part) for part in parts)]
    for batch in _batches(read(directory, parts[-1].last if parts else 0)):
        tables.append(_derive(name, batch, reversed(tables), directory))
    return pa.concat_tables(tables)


def _batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    while batch := list(islice(records, PART_RECORDS)):
        yield batch


def _derive(
    name: str, records: list[Record], earlier: Iterable[pa.Table], directory: Path
) -> pa.Table:
    """Return the rows that consecutive records give.

    Args:
        name: Of the table.
        records: Consecutive records.
        earlier: The candidates' rows from before them, latest table first.
        directory: Whose journal they are from.

    Raises:
        CorruptArchive: The records are not laid out as `evosearch.storage.schema` says.
    """
    schema = table_schema(name)
    try:
        if name == "candidates":
            rows = candidate_rows(records, TABLES[name], lambda ids: _find(earlier, ids))
            table = pa.Table.from_pylist(rows, schema)
        else:
            values = reference_values(read(directory))
            table = pa.Table.from_pydict(evaluation_columns(records, values), schema)
        if absent := [f.name for f in schema if not f.nullable and table[f.name].null_count]:
            raise KeyError(absent[0])
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CorruptArchive(
            f"Expected records {records[0].sequence} to {records[-1].sequence} of the journal of "
            f"{directory} to be laid out as evosearch/storage/schema.py says, found {error!r}. The "
            "version that wrote them is at fault."
        ) from error
    return table


def _find(earlier: Iterable[pa.Table], ids: Collection[int]) -> dict[int, Row]:
    """Return the latest rows of the candidates with these ids; `earlier` begins with the latest."""
    missing, found = set(ids), {}
    tables = iter(earlier)
    while missing and (table := next(tables, None)) is not None:
        rows = table.filter(_is_in(table["id"], missing))
        found |= {row["id"]: row for row in rows.to_pylist()}
        missing -= found.keys()
    return found


def _is_in(ids: pa.ChunkedArray, wanted: set[int]) -> pa.Array:
    return pa.array(np.isin(ids.to_numpy(), np.array(sorted(wanted), np.int64)))


def _load_backwards(parts: list[Part]) -> Iterator[pa.Table]:
    return (load_part(part) for part in reversed(parts))
