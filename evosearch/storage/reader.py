"""Reading a journal's segments and judging whether they are what was written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from evosearch.errors import CorruptArchive, NewerFormat, RunNotFound
from evosearch.storage.codec import (
    FORMAT,
    LINE_LIMIT,
    BadLine,
    Header,
    Record,
    check_line,
    decode_line,
    is_cut,
)

__all__ = ["SegmentReader", "segment_path", "segment_paths"]


def segment_path(directory: Path, number: int) -> Path:
    """The file of a run's segment, counted from 1."""
    return directory / "journal" / f"{number:06d}.jsonl"


def segment_paths(directory: Path) -> list[Path]:
    """Return the files of a run's journal, in order.

    Raises:
        RunNotFound: There are none.
        CorruptArchive: One is missing between the others.
    """
    paths = sorted((directory / "journal").glob("*.jsonl"))
    if not paths:
        raise RunNotFound(
            f"Expected a run in {directory}, found no journal there. `evosearch search --run "
            f"{directory}` starts one."
        )
    for number, path in enumerate(paths, 1):
        expected = segment_path(directory, number)
        if path != expected:
            raise CorruptArchive(
                f"Expected the journal segment {expected}, found {path.name} in its place. "
                f"{_way_out(directory)}"
            )
    return paths


class SegmentReader:
    """Iterates over the records of a journal; at the end it knows where and how that ended.

    Iterating again yields what was appended since, and reads nothing else.

    Attributes:
        segment: Number of the last segment that has records.
        format: Its format version.
        end: Where its last whole record ends, in bytes.
        sequence: Number of the last record.
        chain: The last record's CRC, which the next line continues.
        chain_after: The CRC of the record after which it reads; None before it came there, and
            where there is no such record.
        unterminated: The last record is whole, but the newline after it is not there.
        stub: A last segment that has not even a whole header, or None.
    """

    def __init__(
        self,
        directory: Path,
        after: int = 0,
        paths: Sequence[Path] | None = None,
        *,
        whole: bool = False,
    ) -> None:
        """Read a run's segments, or the first few of them, after a record.

        With `whole` the checksums of what lies before it are compared as well; without it, those
        of its segment.
        """
        self.directory = directory
        self.segment = self.end = self.sequence = self.chain = 0
        self.chain_after: int | None = None
        self.format = FORMAT
        self.unterminated = False
        self.stub: Path | None = None
        self._after = after
        self._skip = after > 0 and not whole
        self._paths = paths
        self._line = 0

    def __iter__(self) -> Iterator[Record]:
        """Yield the records after number `after`; raises like `evosearch.storage.journal.scan`."""
        paths = segment_paths(self.directory) if self._paths is None else self._paths
        self.stub = None
        start = self.segment - 1 if self.segment else self._start(paths)
        for index, path in enumerate(paths[start:], start):
            yield from self._read(path, index + 1, index == start, path is paths[-1])

    def _start(self, paths: Sequence[Path]) -> int:
        """Index of the last segment that begins no later than the first record asked for."""
        for index in range(len(paths) - 1 if self._skip else 0, 0, -1):
            with paths[index].open("rb") as file:
                try:
                    header = Header.decode(file.readline(LINE_LIMIT))
                except BadLine:
                    continue  # reported where the segment is read
            if header.first <= self._after + 1:
                return index
        return 0

    def _read(self, path: Path, number: int, entry: bool, last: bool) -> Iterator[Record]:
        """Yield the records of a segment that are asked for; all are checked."""
        with path.open("rb") as file:
            if number == self.segment:
                begun = self._reenter(file)
            else:
                begun = self._begin(file, path, number, entry, last)
            while begun and (line := file.readline(LINE_LIMIT)):
                if last and not line.endswith(b"\n"):
                    line = line.rstrip(b"\0")  # some file systems fill up what was not written
                    if is_cut(line):
                        break
                    line += b"\n"
                    self.unterminated = True
                expected = self.sequence + 1
                record = None
                try:
                    if 1 < expected <= self._after:
                        _, self.chain = check_line(line, expected, self.chain)
                    else:
                        place = f"{path}, line {self._line + 1}"
                        chain, version = self.chain, self.format
                        record = decode_line(line, expected, chain, version, place)
                        self.chain = record.chain
                        if expected == 1 and record.kind != "manifest":
                            raise BadLine(f"expected a manifest first, found {record.kind!r}")
                except BadLine as problem:
                    raise _corrupt(path, self._line + 1, self.end, problem) from None
                self.sequence = expected
                if expected == self._after:
                    self.chain_after = self.chain
                self._line += 1
                self.end += len(line) - self.unterminated
                if record is not None and expected > self._after:
                    yield record
            if begun and self.sequence == 0:
                problem = "expected a manifest, found no whole record"
                raise _corrupt(path, self._line + 1, self.end, problem)

    def _begin(self, file: BinaryIO, path: Path, number: int, entry: bool, last: bool) -> bool:
        """Read a segment's header; return whether it has one, which only the last may lack."""
        line = file.readline(LINE_LIMIT)
        if last and number > 1 and not line.endswith(b"\n"):
            self.stub = path
            return False
        try:
            self._enter(line, number, entry)
        except BadLine as problem:
            raise _corrupt(path, 1, 0, problem) from None
        except NewerFormat as error:
            raise NewerFormat(f"{self.directory} cannot be read. {error}") from None
        self.end, self._line = len(line), 1
        return True

    def _reenter(self, file: BinaryIO) -> bool:
        """Go to where an earlier iteration ended; return whether a record may follow there."""
        file.seek(self.end)
        if self.unterminated:
            if file.read(1) != b"\n":
                return False
            self.end += 1
            self.unterminated = False
        return True

    def _enter(self, line: bytes, number: int, entry: bool) -> None:
        """Read a segment's header and check that it continues what was read so far."""
        header = Header.decode(line)
        if entry and number > 1:  # nothing was read before it
            self.sequence, self.chain = header.first - 1, header.chain
            if self.sequence == self._after:
                self.chain_after = self.chain
        found = (header.segment, header.first, header.chain)
        if found != (number, self.sequence + 1, self.chain):
            raise BadLine(
                f"expected segment {number} beginning with record {self.sequence + 1} after "
                f"checksum {self.chain:08x}, found segment {header.segment} beginning with record "
                f"{header.first} after checksum {header.chain:08x}"
            )
        self.segment, self.format = number, header.format


def _corrupt(path: Path, line: int, byte: int, problem: object) -> CorruptArchive:
    return CorruptArchive(
        f"{path}, line {line}, byte {byte}: {problem}. The run cannot be trusted from there on. "
        f"{_way_out(path.parent.parent)}"
    )


def _way_out(directory: Path) -> str:
    return (
        f"Restore it from a copy, or `evosearch resume --repair {directory}` keeps the records "
        "before that and computes the others again."
    )
