"""Records as columns: what the archive's two tables get from a range of journal records.

The packs' lines are read as Arrow reads JSON, against the layout declared here: no row of them is
ever an object of Python, which would take ten times the time and memory. What does not fit the
layout, or refers to something that is not there, is named: which record, which candidate, what.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.json as pj

from evosearch.errors import CorruptArchive
from evosearch.storage.codec import Record
from evosearch.storage.parquet import TABLES, table_schema
from evosearch.storage.schema import CARRIERS, KEYS, Counts, Row

__all__ = ["Derived", "derive", "is_in"]

_CHUNK: Final = 8 << 20
"""Bytes of JSON that are read at once."""

_COLUMNS: Final = {name: kind for name, (kind, _) in TABLES["candidates"].items()}
_BRED: Final = (
    *("parents", "mutation", "program", "genome", "fingerprint"),
    *("statements", "states", "state_memory", "cost"),
)
"""What only the record says that introduces a candidate."""
_LATER: Final[tuple[str, ...]] = ()
"""What that record says besides since some version; null where it is older."""
_SAID: Final = ("id", "status", "message", "tier", "score", "score_se", "rounds")
"""What every record of a candidate says."""
_NULLABLE: Final = frozenset({"score", "score_se", "value"})
_SAID_ALWAYS: Final = tuple(name for name in _SAID if name not in _NULLABLE)

_TRIAL: Final = {name: pa.float64() for name in ("lr", "rest_lr", "ratio", "value")}
_RESULT: Final = {
    "task": pa.string(),
    "replicate": pa.int64(),
    "seed": pa.uint64(),
    "score": pa.float64(),
    "best": pa.int64(),
    "edge": pa.bool_(),
    "trials": pa.list_(pa.struct(_TRIAL)),
}
_CANDIDATE: Final = {
    **{KEYS.get(name, name): _COLUMNS[name] for name in (*_SAID, *_BRED, *_LATER)},
    "results": pa.list_(pa.struct(_RESULT)),
}
_LINE: Final = pa.schema(
    {
        "kind": pa.string(),
        "pack": pa.int64(),
        "proposals": pa.int64(),
        "cache_hits": pa.int64(),
        "candidates": pa.list_(pa.struct(_CANDIDATE)),
        "info": pa.struct({"seconds": pa.float64()}),
    }
)
"""What is read of the record of a pack; its other keys stay in the journal alone."""

_TRIAL_COLUMNS: Final = {
    "learning_rate": "lr",
    "rest_learning_rate": "rest_lr",
    "ratio": "ratio",
    "value": "value",
}
_RESULT_COLUMNS: Final = ("task", "replicate", "seed", "score", "edge")


@dataclass(frozen=True)
class Derived:
    """What a range of records says."""

    candidates: pa.Table
    evaluations: pa.Table
    counts: Counts


def derive(
    records: Iterable[Record],
    references: Mapping[str, Sequence[float | None]],
    find: Callable[[Collection[int]], Mapping[int, Row]],
) -> Derived:
    """Return the rows and counts that consecutive records give.

    Args:
        records: The records.
        references: Task to the reference's end values, one a replicate.
        find: Returns the latest rows, from before these records, of the candidates with these ids.

    Raises:
        CorruptArchive: A record is not laid out as `evosearch.storage.schema` says, or refers to a
            candidate, replicate or trial that is not there.
    """
    batch = _Batch(references)
    waiting: list[Record] = []
    size = 0
    for record in records:
        if record.kind not in CARRIERS:
            batch.counts.take(record.body)
            continue
        waiting.append(record)
        size += len(record.payload)
        if size > _CHUNK:
            batch.take(waiting)
            waiting, size = [], 0
    if waiting:
        batch.take(waiting)
    evaluations = [table_schema("evaluations").empty_table(), *batch.evaluations]
    return Derived(batch.latest(find), pa.concat_tables(evaluations).combine_chunks(), batch.counts)


def is_in(ids: pa.ChunkedArray | pa.Array, wanted: Collection[int]) -> pa.Array:
    """Return which of some ids are wanted."""
    return pa.array(np.isin(ids.to_numpy(), np.array(sorted(wanted), np.int64)))


@dataclass(frozen=True)
class _Level:
    """Objects of one level of nesting, those of all records one after the other."""

    name: str
    """What one of them is."""
    members: pa.StructArray
    owner: np.ndarray
    """Which object of the level above, or which record, each belongs to."""
    above: _Level | None
    records: Sequence[Record]

    def __len__(self) -> int:
        return len(self.owner)

    def of(self, key: str) -> pa.Array:
        """Return what they say of something."""
        return self.members.field(key)

    def below(self, key: str, name: str) -> _Level:
        """Return the objects in their lists.

        Raises:
            CorruptArchive: There is no list.
        """
        lists = self.of(key)
        self.require(key)
        return _Level(name, lists.flatten(), _owners(lists), self, self.records)

    def require(self, *keys: str, where: np.ndarray | None = None) -> None:
        """Check that all say something, or all where a mask is true.

        Raises:
            CorruptArchive: One does not.
        """
        for key in keys:
            absent = _mask(self.of(key).is_null())
            absent = absent if where is None else absent & where
            self.forbid(absent, f'expected a "{key}", found none')

    def forbid(self, wrong: np.ndarray, problem: str) -> None:
        """Raise `CorruptArchive` for the first object for which a mask is true."""
        if len(found := np.flatnonzero(wrong)):
            raise self.misfit(int(found[0]), problem)

    def misfit(self, at: int, problem: str) -> CorruptArchive:
        """Return the error that something is wrong with one of them."""
        words: list[str] = []
        level = self
        while True:
            index = level.owner[at]
            words.append(f"{level.name} {at - np.searchsorted(level.owner, index)}")
            at = int(index)
            if level.above is None:
                break
            level = level.above
        return self.records[at].misfit(f"{', '.join(reversed(words))}: {problem}")


def _owners(lists: pa.ListArray) -> np.ndarray:
    return lists.value_parent_indices().to_numpy()


def _mask(values: pa.Array) -> np.ndarray:
    return values.to_numpy(zero_copy_only=False)


@dataclass
class _Batch:
    """The tables of some records, grown chunk by chunk."""

    references: Mapping[str, Sequence[float | None]]
    counts: Counts = field(default_factory=Counts)
    born: list[pa.Table] = field(default_factory=list)
    confirmed: list[tuple[Record, Row]] = field(default_factory=list)
    evaluations: list[pa.Table] = field(default_factory=list)

    def take(self, records: list[Record]) -> None:
        """Take in the next records, all of packs."""
        lines = _read(records)
        packs = _Level(
            "record", lines.to_struct_array().chunk(0), np.arange(len(lines)), None, records
        )
        candidates = _candidates(packs, records)
        born = np.array([record.kind == "pack" for record in records])[candidates.owner]
        candidates.require(*_SAID_ALWAYS)
        candidates.require(*(KEYS.get(name, name) for name in _BRED), where=born)
        _require_lineage(candidates, born)
        results = candidates.below("results", "result")
        results.require(*(key for key in _RESULT if key != "trials"))
        self._count(lines, born)
        self._candidates(lines, candidates, results, born)
        self._trials(candidates, results)

    def latest(self, find: Callable[[Collection[int]], Mapping[int, Row]]) -> pa.Table:
        """Return one row for each candidate; those that were confirmed come last."""
        schema = table_schema("candidates")
        born = pa.concat_tables([schema.empty_table(), *self.born]).combine_chunks()
        wanted = {row["id"] for _, row in self.confirmed}
        if not wanted:
            return born
        again = is_in(born["id"], wanted)
        rows = {row["id"]: row for row in born.filter(again).to_pylist()}
        rows |= find(wanted - rows.keys())
        changed: dict[int, Row] = {}
        for record, row in self.confirmed:
            before = changed.get(row["id"]) or rows.get(row["id"])
            if before is None:
                raise record.misfit(
                    f"it confirms candidate {row['id']}, which no record before it introduces"
                )
            seen = sorted({*before["replicates"], *row["replicates"]})
            changed[row["id"]] = {**before, **row, "replicates": seen}
        kept = born.filter(pa.array(~_mask(again)))
        table = pa.Table.from_pylist(list(changed.values()), schema)
        return pa.concat_tables([kept, table]).combine_chunks()

    def _count(self, lines: pa.Table, born: np.ndarray) -> None:
        counts = self.counts
        counts.packs += len(lines)
        counts.confirmations += int(len(born) - born.sum())
        counts.proposals += sum(filter(None, lines["proposals"].to_pylist()))
        counts.cache_hits += sum(filter(None, lines["cache_hits"].to_pylist()))
        seconds = lines["info"].chunk(0).field("seconds").to_pylist()
        counts.seconds += sum(filter(None, seconds))

    def _candidates(
        self, lines: pa.Table, candidates: _Level, results: _Level, born: np.ndarray
    ) -> None:
        """Take in the candidates' rows."""
        columns = {name: candidates.of(KEYS.get(name, name)) for name in (*_SAID, *_BRED, *_LATER)}
        columns["pack"] = lines["pack"].chunk(0).take(pa.array(candidates.owner))
        columns["replicates"] = _distinct(results, len(candidates))
        columns["sequence"] = _sequences(candidates.records, candidates.owner)
        table = pa.table(columns)
        schema = table_schema("candidates")
        self.born.append(table.filter(pa.array(born)).select(schema.names).cast(schema))
        told = table.filter(pa.array(~born)).select([*_SAID, "replicates", "sequence"])
        by_number = {record.sequence: record for record in candidates.records}
        self.confirmed += [(by_number[row["sequence"]], row) for row in told.to_pylist()]

    def _trials(self, candidates: _Level, results: _Level) -> None:
        """Take in the rows of the table of evaluations."""
        trials = results.below("trials", "trial")
        trials.require(*(key for key in _TRIAL if key not in _NULLABLE))
        counts = np.bincount(trials.owner, minlength=len(results))
        best = results.of("best").to_numpy()
        wrong = ((best < 0) | (best >= counts)) & (counts > 0)
        results.forbid(wrong, 'expected "best" to be the number of a trial')
        place = np.arange(len(trials)) - (np.cumsum(counts) - counts)[trials.owner]
        owner = pa.array(trials.owner)
        columns = {name: results.of(name).take(owner) for name in _RESULT_COLUMNS}
        columns |= {name: trials.of(key) for name, key in _TRIAL_COLUMNS.items()}
        columns["candidate"] = candidates.of("id").take(pa.array(results.owner)).take(owner)
        columns["best"] = pa.array(place == best[trials.owner], pa.bool_())
        columns["reference"] = self._reference_values(results).take(owner)
        whose = candidates.owner[results.owner[trials.owner]]
        columns["sequence"] = _sequences(candidates.records, whose)
        schema = table_schema("evaluations")
        self.evaluations.append(pa.table([columns[n] for n in schema.names], schema=schema))

    def _reference_values(self, results: _Level) -> pa.Array:
        """Return the reference's end value for each result."""
        tasks = results.of("task").dictionary_encode()
        names = tasks.dictionary.to_pylist()
        which, replicates = tasks.indices.to_numpy(), results.of("replicate").to_numpy()
        counts = np.array([len(self.references.get(name, ())) for name in names], np.int64)
        wrong = (replicates < 0) | (replicates >= counts[which])
        results.forbid(wrong, "expected a task and a replicate that the reference was measured on")
        values = [value for name in names for value in self.references.get(name, ())]
        places = (np.cumsum(counts) - counts)[which] + replicates
        return pa.array(values, pa.float64()).take(pa.array(places))


def _candidates(packs: _Level, records: Sequence[Record]) -> _Level:
    packs.require("candidates")
    lists = packs.of("candidates")
    return _Level("candidate", lists.flatten(), _owners(lists), None, records)


def _require_lineage(candidates: _Level, born: np.ndarray) -> None:
    """Check that ids are no negative numbers, and that parents come before their children."""
    ids = candidates.of("id").to_numpy()
    candidates.forbid(ids < 0, "expected an id of 0 or more")
    parents = candidates.of("parents")
    owner, values = _owners(parents), parents.flatten().to_numpy(zero_copy_only=False)
    strange = owner[~((values >= 0) & (values < ids[owner]))]
    candidates.forbid(
        np.isin(np.arange(len(ids)), strange) & born, "expected parents with lower ids"
    )


def _distinct(results: _Level, count: int) -> pa.ListArray:
    """Return the replicates of each candidate, once each, in order."""
    pairs = np.stack([results.owner, results.of("replicate").to_numpy()], axis=1)
    pairs = np.unique(pairs, axis=0) if len(pairs) else pairs.reshape(0, 2)
    starts = np.searchsorted(pairs[:, 0], np.arange(count + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(starts), pa.array(pairs[:, 1], pa.int64()))


def _sequences(records: Sequence[Record], owner: np.ndarray) -> pa.Array:
    numbers = np.array([record.sequence for record in records], np.int64)
    return pa.array(numbers[owner], pa.int64())


def _read(records: list[Record]) -> pa.Table:
    """Read the lines of records against the layout.

    Raises:
        CorruptArchive: One does not fit.
    """
    data = b"\n".join([record.payload for record in records])
    try:
        lines = pj.read_json(
            pa.BufferReader(data),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(data) + 2),
            parse_options=pj.ParseOptions(
                explicit_schema=_LINE, unexpected_field_behavior="ignore"
            ),
        )
        lines.validate(full=True)
    except pa.ArrowInvalid as error:
        if len(records) == 1:
            _ = records[0].body  # unless it is no JSON at all
            reason = str(error).partition(" in row ")[0]
            raise records[0].misfit(f"expected the layout of a pack, found: {reason}") from None
        for record in records:
            _read([record])
        raise
    if len(lines) != len(records):
        raise records[0].misfit("expected one record a line from it on")
    return lines.combine_chunks()
