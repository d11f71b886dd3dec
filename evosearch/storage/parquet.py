"""Parts: the Parquet files of a run, each covering a range of journal records.

    RUN/candidates/000000001-000000256.parquet     what records 1 to 256 of the journal say of them
    RUN/evaluations/000000001-000000256.parquet
    RUN/parts.sha256                               their digests, as `sha256sum --check` reads them

They appear whole or not at all, and every page has a checksum that is verified on reading. Together
with the check of the declared columns this finds every flipped bit that changes what is read; on
its own, Parquet reads most of them as other values. The digests find all others.

A part says after which line of the journal it was made, by that line's checksum, and what its
records add up to. So parts stand for the journal's beginning where they are sound and of this very
journal (`believed`); where they are not, the journal is read instead.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from evosearch.errors import CorruptArchive, NewerFormat
from evosearch.storage.atomic_write import write_atomic
from evosearch.storage.codec import writer

__all__ = [
    "TABLES",
    "ParquetPart",
    "believed",
    "digest_flaw",
    "digests_flaw",
    "iterate_part",
    "list_parts",
    "load_part",
    "read_about",
    "read_digests",
    "rebuildable",
    "table_schema",
    "write_part",
    "write_rows",
]

FORMAT = 2
"""The version of the columns below and of the rows in them; it is not the journal's."""

TABLES: dict[str, dict[str, tuple[pa.DataType, str]]] = {
    "candidates": {
        "id": (pa.int64(), "number of the candidate, in the order of proposal"),
        "pack": (pa.int64(), "the pack it was first evaluated in"),
        "parents": (pa.list_(pa.int64()), "ids it was made from; none for a start program"),
        "mutation": (pa.string(), "how it was made from them"),
        "program": (pa.string(), "the program: what was evaluated"),
        "genome": (pa.string(), "the program as it was bred, redundant statements included"),
        "fingerprint": (pa.string(), "hash of what it computes, modulo the learning rate"),
        "statements": (pa.int32(), "statements of the program"),
        "states": (pa.int32(), "states of the program's rule for matrices"),
        "state_memory": (pa.float64(), "state entries for each entry of a matrix"),
        "cost": (pa.float64(), "floating-point operations of an update for each entry of a matrix"),
        "status": (pa.string(), '"ok", or why there is no score'),
        "message": (pa.string(), "what went wrong; empty where nothing did"),
        "tier": (pa.int32(), "the last tier of tasks that it was evaluated on"),
        "score": (pa.float64(), "mean over tasks and replicates; above 0 is better than AdamW"),
        "score_se": (pa.float64(), "standard error of the score"),
        "rounds": (pa.int32(), "independent evaluations, each on replicates of its own"),
        "replicates": (pa.list_(pa.int64()), "replicates it was evaluated on"),
        "sequence": (pa.int64(), "the journal record that says so"),
    },
    "evaluations": {
        "candidate": (pa.int64(), "id of the candidate"),
        "task": (pa.string(), "the task it was trained on"),
        "replicate": (pa.int64(), "number of the repetition"),
        "seed": (pa.uint64(), "seed of weights and data"),
        "learning_rate": (pa.float64(), "peak learning rate of the hidden matrices"),
        "rest_learning_rate": (pa.float64(), "peak learning rate of the other parameters"),
        "ratio": (pa.float64(), "how far the others should move relative to the matrices (RMS)"),
        "value": (pa.float64(), "the task's metric at the end of training; null: diverged"),
        "best": (pa.bool_(), "whether the candidate's score is of this point of the grid"),
        "edge": (pa.bool_(), "whether that point still lies at the edge of the extended grid"),
        "score": (pa.float64(), "the candidate's score on this task and replicate"),
        "reference": (pa.float64(), "the metric of AdamW on this task and replicate"),
        "sequence": (pa.int64(), "the journal record that says so"),
    },
}
"""Table to column to type and meaning; the only declaration of the Parquet files."""

_REQUIRED = frozenset({"id", "program", "status", "candidate", "task", "replicate", "seed"})
_DIGESTS = "parts.sha256"
_ROWS = 1 << 14
"""Rows that are read at once where a part is gone through."""
_RANGE = re.compile(r"(\d{9})-(\d{9})")
_DIGEST = re.compile(r"([0-9a-f]{64})  ([a-z]+/[0-9]{9}-[0-9]{9}\.parquet)")
# What reading a damaged file raises; a flipped bit may make it ask for absurd amounts of memory.
_UNREADABLE = (OSError, pa.ArrowException, KeyError, TypeError, ValueError, MemoryError)


@dataclass(frozen=True)
class ParquetPart:
    """One Parquet file of a table."""

    path: Path
    first: int
    """The first journal record that it covers."""
    last: int
    """The last one."""

    @property
    def table(self) -> str:
        """Name of the table it is a part of."""
        return self.path.parent.name

    @property
    def name(self) -> str:
        """Its path in the run directory, as in the file of digests."""
        return f"{self.table}/{self.path.name}"

    @property
    def about(self) -> dict[str, Any]:
        """What it must say about itself."""
        return {"format": FORMAT, "table": self.table, "first": self.first, "last": self.last}

    def is_described(self, about: Mapping[str, Any]) -> bool:
        """Whether that is said."""
        return all(about.get(key) == value for key, value in self.about.items())


def table_schema(name: str) -> pa.Schema:
    """Return the schema of a table, with the columns' meanings as metadata."""
    return pa.schema(
        pa.field(column, kind, column not in _REQUIRED, {"doc": doc})
        for column, (kind, doc) in TABLES[name].items()
    )


def list_parts(directory: Path, name: str) -> list[ParquetPart]:
    """Return a table's parts in order; none if they are of an older format.

    Raises:
        CorruptArchive: Parts are missing between others.
        NewerFormat: They are of a newer format.
    """
    parts: list[ParquetPart] = []
    for path in sorted((directory / name).glob("*.parquet")):
        match = _RANGE.fullmatch(path.stem)
        first = parts[-1].last + 1 if parts else 1
        if match is None or int(match[1]) != first or int(match[2]) < first:
            raise CorruptArchive(rebuildable(path, f"expected the part from record {first} here"))
        parts.append(ParquetPart(path, first, int(match[2])))
    if parts and _open(parts[0].path)[1]["format"] < FORMAT:
        return []
    return parts


def write_part(
    directory: Path, name: str, table: pa.Table, span: tuple[int, int], said: Mapping[str, Any]
) -> ParquetPart:
    """Write the rows that records in a span give, and what is `said` of them; return the part.

    Raises:
        OSError: It cannot be written; nothing of it is there.
    """
    path = directory / name / f"{span[0]:09d}-{span[1]:09d}.parquet"
    part = ParquetPart(path, *span)
    about = json.dumps({**part.about, **said, "writer": writer()})
    sink = pa.BufferOutputStream()
    marked = table.replace_schema_metadata({"evosearch": about})
    pq.write_table(marked, sink, compression="zstd", write_page_checksum=True)
    content = sink.getvalue().to_pybytes()
    _note_digest(directory, part, content)  # first: a part never lies beside an old digest
    write_atomic(part.path, content)
    return part


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table of its own, with a column for each key of the rows, which all have the same."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(list(rows)), sink, write_page_checksum=True)
    write_atomic(path, sink.getvalue().to_pybytes())


def load_part(part: ParquetPart, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a part, or some of its columns.

    Raises:
        CorruptArchive: It is not what was written.
        NewerFormat: It is of a newer format.
    """
    file, about = _open(part.path)
    if not part.is_described(about):
        raise CorruptArchive(rebuildable(part.path, f"it says to be {about}"))
    try:
        table = file.read(columns, use_threads=False)
        table.validate(full=True)
        schema = table_schema(part.table)
        wanted = schema if columns is None else pa.schema([schema.field(c) for c in columns])
        sound = file.schema_arrow.equals(schema)
    except _UNREADABLE as error:
        raise CorruptArchive(rebuildable(part.path, f"it is damaged ({error!r})")) from None
    if not sound:
        raise CorruptArchive(rebuildable(part.path, "its columns are not those of this format"))
    return table.cast(wanted)


def iterate_part(part: ParquetPart, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield some columns of a part, some rows at a time; raises like `load_part`."""
    schema = table_schema(part.table)
    wanted = pa.schema([schema.field(name) for name in columns])
    yield wanted.empty_table()
    try:
        file = _open(part.path)[0]
        for batch in file.iter_batches(_ROWS, columns=list(columns), use_threads=False):
            table = pa.Table.from_batches([batch])
            table.validate(full=True)
            yield table.cast(wanted)
    except _UNREADABLE as error:
        raise CorruptArchive(rebuildable(part.path, f"it is damaged ({error!r})")) from None


def read_about(part: ParquetPart) -> dict[str, Any]:
    """Return what a part says about itself; raises like `load_part`."""
    return _open(part.path)[1]


def believed(directory: Path) -> list[tuple[ParquetPart, ...]]:
    """Return the parts of all tables by range of records, from the first record on.

    Only sound ones count: up to the first range of which a part is missing, or not what was
    written as far as its digest shows, or of an older format.

    Raises:
        NewerFormat: There is one of a newer format.
    """
    digests = read_digests(directory)
    found: list[tuple[ParquetPart, ...]] = []
    candidates, *others = TABLES
    for path in sorted((directory / candidates).glob("*.parquet")):
        match = _RANGE.fullmatch(path.stem)
        if match is None:
            break
        first, last = int(match[1]), int(match[2])
        paths = (path, *(directory / name / path.name for name in others))
        parts = tuple(ParquetPart(path, first, last) for path in paths)
        if first != (found[-1][0].last + 1 if found else 1) or last < first:
            break
        if not all(_is_sound(part, digests) for part in parts):
            break
        found.append(parts)
    return found


def _is_sound(part: ParquetPart, digests: dict[str, str]) -> bool:
    try:
        with part.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digests.get(part.name) == digest and part.is_described(read_about(part))
    except (OSError, CorruptArchive):
        return False


def read_digests(directory: Path) -> dict[str, str]:
    """Return the digests of a run's parts by path in the run directory.

    Older versions wrote none. A line that is damaged is left out, so its part has none either.
    """
    try:
        content = (directory / _DIGESTS).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    lines = (_DIGEST.fullmatch(line) for line in content.splitlines())
    return {line[2]: line[1] for line in lines if line}


def digest_flaw(part: ParquetPart, digests: dict[str, str]) -> str | None:
    """Return what is wrong if a part's bytes are not those that were written; None if unknown."""
    known = digests.get(part.name)
    if known in (None, hashlib.sha256(part.path.read_bytes()).hexdigest()):
        return None
    return rebuildable(part.path, f"its bytes are not those whose digest is in {_DIGESTS}")


def digests_flaw(directory: Path) -> str | None:
    """Return what is wrong with the file of digests itself; None where there is none."""
    path = directory / _DIGESTS
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    digests = read_digests(directory)
    if content != _lines(digests).encode():
        return rebuildable(path, "it is not a list of digests and files, one a line, in order")
    paths = [path for name in TABLES for path in (directory / name).glob("*.parquet")]
    present = {ParquetPart(path, 0, 0).name for path in paths if _RANGE.fullmatch(path.stem)}
    if strange := sorted(present - digests.keys()):
        return rebuildable(path, f"it has no digest of {strange[0]}")
    return None


def _note_digest(directory: Path, part: ParquetPart, content: bytes) -> None:
    kept = {k: v for k, v in read_digests(directory).items() if (directory / k).exists()}
    kept[part.name] = hashlib.sha256(content).hexdigest()
    write_atomic(directory / _DIGESTS, _lines(kept))


def _lines(digests: Mapping[str, str]) -> str:
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))


def rebuildable(path: Path, problem: str) -> str:
    """Return the message about a derived file that is damaged."""
    run = path.parent.parent if path.parent.name in TABLES else path.parent
    return (
        f"{path}: {problem}. The journal has the same data: `evosearch verify --rebuild {run}` "
        "writes the file again."
    )


def _open(path: Path) -> tuple[pq.ParquetFile, dict[str, Any]]:
    """Open a part and return it with what it says about itself."""
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        about = json.loads((file.schema_arrow.metadata or {})[b"evosearch"])
        version, origin = int(about["format"]), str(about["writer"])
    except _UNREADABLE as error:
        raise CorruptArchive(rebuildable(path, f"it is damaged ({error!r})")) from None
    if version > FORMAT:
        raise NewerFormat(
            f"{path} is in format {version}, written by {origin}, and this version reads formats "
            f"up to {FORMAT}. Install that version: pip install 'evosearch>={origin[10:]}'."
        )
    return file, {**about, "format": version}
