"""The journal: what a run has done, in order, appended by one writer and never changed.

    RUN/lock                  who writes (lock.py)
    RUN/journal/000001.jsonl  segments of lines (codec.py), each continuing the one before

The state of a run is a function of its journal, and resuming is replaying it. `append` returns when
the records are on the disk; only then may what follows from them leave the driver. A crash leaves
at most a cut last line, which the next writer removes under the lock; anything else that is not as
it was written raises `CorruptArchive` with the place. Nothing in a run directory is ever executed
or unpickled.

Kinds of records: `manifest` (the first: configuration, versions, hardware, seeds), `reference` (the
baselines' results on a replicate), `pack` and `confirm` (candidates and their results, see
`evosearch/storage/schema.py`), `extended` (the budget that follows the one before), and for people
`fault`, `note` and `resumed`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from evosearch.errors import RunError, RunExists, RunInUse
from evosearch.storage.atomic_write import (
    discard_leftovers,
    sync_directory,
    write_all,
    write_atomic,
)
from evosearch.storage.codec import FORMAT, Header, Record, encode_line, writer
from evosearch.storage.filesystem import refusal
from evosearch.storage.lock import Lock
from evosearch.storage.reader import SegmentReader, segment_path, segment_paths
from evosearch.storage.schema import require_layout

__all__ = ["Bodies", "Journal", "Record", "laid_out", "lock_run", "read", "require_vacant", "scan"]

SEGMENT_BYTES = 8 << 20
"""A segment that has grown to this size is followed by a new one."""


def read(directory: str | os.PathLike[str], after: int = 0) -> Iterator[Record]:
    """Yield a run's committed records, without the lock; a live run may be read.

    Args:
        directory: The run directory.
        after: Leave out the records up to this number; whole segments of them are not read.

    Raises:
        RunNotFound: There is no run.
        NewerFormat: It was written by a newer version.
        CorruptArchive: The journal is damaged; the message names file, line and byte.
    """
    for record in scan(directory, after):
        _ = record.body  # whoever reads it is told here that it is none
        yield record


def scan(directory: str | os.PathLike[str], after: int = 0) -> Iterator[Record]:
    """Yield a run's records like `read`, for those who do not look into each of them.

    They are as they were written, but not read as JSON yet; what is wrong there is raised then.
    """
    return iter(SegmentReader(Path(directory), after))


class Bodies(Iterable[dict[str, Any]]):
    """The bodies of a run's records but for the manifest, read anew each time.

    Raises like `read`.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (laid_out(record) for record in scan(self._directory, after=1))


def laid_out(record: Record) -> dict[str, Any]:
    """Return what a record says, having checked that it is laid out as it should be.

    Raises:
        CorruptArchive: It is not.
    """
    require_layout(record, whole=True)
    return record.body


def lock_run(directory: Path) -> Lock:
    """Take a run directory's lock.

    Raises:
        RunInUse: Another process has it.
        RunError: The lock file cannot be written, or would mean nothing on this file system.
    """
    if reason := refusal(directory):
        raise RunError(reason)
    try:
        return Lock(directory / "lock")
    except OSError as error:
        raise _unwritable(directory, error) from error


def require_vacant(directory: Path) -> None:
    """Check that a run can be started in a directory; a start that was killed leaves it vacant.

    Raises:
        RunExists: There is a run, or something else, in it.
    """
    if segment_path(directory, 1).exists():
        raise RunExists(
            f"{directory} already holds a run. Continue it with `evosearch resume {directory}`, or "
            "choose another directory."
        )
    if directory.is_file():
        raise RunExists(f"Expected a directory, but {directory} is a file. Choose another name.")
    present = {path.name for path in directory.iterdir()} if directory.exists() else set()
    if strangers := sorted(present - {"lock", "journal"}):
        raise RunExists(
            f"Expected {directory} to be empty or new, found {strangers[0]!r} in it. Choose "
            "another directory."
        )


class Journal:
    """A run's journal, open for writing; one process at a time can hold it.

    Attributes:
        directory: The run directory.
        manifest: The first record's body.
        sequence: Number of the last committed record.
        notices: What had to be put right at opening, a line each, for the user.
    """

    def __init__(self, directory: Path, lock: Lock) -> None:
        """Read the journal to its end. Callers use `create` or `open`."""
        reader = SegmentReader(directory)
        records = iter(reader)
        self.manifest = next(records).body
        for _ in records:
            pass
        self.directory = directory
        self.sequence = reader.sequence
        self.notices = [lock.notice] if lock.notice else []
        self._lock = lock
        self._failure = ""
        self._chain = reader.chain
        self._segment = reader.segment
        self._format = reader.format
        self._size = reader.end
        path = segment_path(directory, reader.segment)
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
            try:
                self._mend(reader, path)
            except BaseException:
                os.close(self._descriptor)
                raise
        except OSError as error:
            raise _unwritable(directory, error) from error

    @classmethod
    def create(cls, directory: str | os.PathLike[str], manifest: Mapping[str, Any]) -> Self:
        """Start a run in a directory that is empty or does not exist yet.

        Args:
            directory: The run directory.
            manifest: The first record, without its kind. Runs are compared by its "config" and
                "seeds".

        Raises:
            RunExists: There is a run, or something else, in the directory.
            RunInUse: Another process is starting one there.
            RunError: The directory cannot be written.
            UsageError: The manifest is not plain JSON.
        """
        directory = Path(directory)
        line, _ = encode_line(1, {**manifest, "kind": "manifest"}, 0)
        first = segment_path(directory, 1)
        if reason := refusal(directory):
            raise RunError(reason)
        try:
            require_vacant(directory)
            first.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.ExitStack() as undo:
                lock = lock_run(directory)
                undo.callback(lock.release)
                require_vacant(directory)
                discard_leftovers(first.parent)
                write_atomic(first, Header(1, 1, 0, FORMAT, writer()).encode() + line)
                sync_directory(directory)
                journal = cls(directory, lock)
                undo.pop_all()
                return journal
        except OSError as error:
            raise _unwritable(directory, error) from error

    @classmethod
    def open(cls, directory: str | os.PathLike[str]) -> Self:
        """Open a run for writing where its journal ends; `notices` says what was put right.

        Raises:
            RunNotFound: There is no run.
            RunInUse: Another process writes to it.
            NewerFormat: It was written by a newer version.
            CorruptArchive: The journal is damaged; nothing is changed.
            RunError: The directory cannot be written.
        """
        directory = Path(directory)
        segment_paths(directory)  # no lock file appears where no run is
        with contextlib.ExitStack() as undo:
            lock = lock_run(directory)
            undo.callback(lock.release)
            journal = cls(directory, lock)
            undo.pop_all()
            return journal

    def append(self, record: Mapping[str, Any]) -> int:
        """Commit a record and return its number; it is on the disk when this returns.

        Raises:
            UsageError: The record is not plain JSON with a "kind"; nothing is written.
            RunInUse: Somebody took the run's lock away; nothing is written.
            RunError: Writing failed or had failed before. What was committed is safe; the journal
                takes no more records until it is opened again.
        """
        return self.append_many([record])[-1]

    def append_many(self, records: Iterable[Mapping[str, Any]]) -> range:
        """Commit several records with one flush to the disk and return their numbers.

        A crash meanwhile keeps the first few of them or none. Raises like `append`.
        """
        self._require_writable()
        lines, chain, sequence = [], self._chain, self.sequence
        for record in records:
            sequence += 1
            line, chain = encode_line(sequence, record, chain)
            lines.append(line)
        committed = range(self.sequence + 1, sequence + 1)
        if lines:
            self._commit(b"".join(lines))
            self.sequence, self._chain = sequence, chain
        return committed

    def close(self) -> None:
        """Release the run. Closing twice does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _mend(self, reader: SegmentReader, path: Path) -> None:
        """Remove what a crash left behind the last record."""
        discard_leftovers(path.parent)
        if reader.stub is not None:
            reader.stub.unlink()
            sync_directory(path.parent)
            self.notices.append(f"removed {reader.stub}, which a crash left without a record")
        surplus = os.fstat(self._descriptor).st_size - reader.end
        if surplus or reader.unterminated:
            os.ftruncate(self._descriptor, reader.end)
            if reader.unterminated:
                write_all(self._descriptor, b"\n")
                self._size += 1
            os.fsync(self._descriptor)
        if surplus:
            self.notices.append(
                f"cut {surplus} bytes of an unfinished record off {path}, which a crash left there"
            )

    def _require_writable(self) -> None:
        if self._failure:
            raise RunError(self._failure)
        if self._descriptor < 0:
            raise RunError(f"The journal of {self.directory} is closed; open it again to write.")
        if not self._lock.held:
            raise RunInUse(
                f"The lock file of {self.directory} was deleted or replaced while this process "
                "wrote there, so another may be writing now. This one stops; resume the run when "
                "no other process writes to it."
            )

    def _commit(self, data: bytes) -> None:
        try:
            if self._size >= SEGMENT_BYTES or self._format != FORMAT:
                self._start_segment(data)
            else:
                write_all(self._descriptor, data)
                os.fsync(self._descriptor)
                self._size += len(data)
        except BaseException as error:
            # After a failed write or flush nobody knows what the disk holds: stop here.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            self._failure = (
                f"Writing to {self.directory} failed ({error!r}). Its {self.sequence} committed "
                "records are safe: put right the cause and run "
                f"`evosearch resume {self.directory}`."
            )
            if isinstance(error, OSError):
                raise RunError(self._failure) from error
            raise

    def _start_segment(self, data: bytes) -> None:
        header = Header(self._segment + 1, self.sequence + 1, self._chain, FORMAT, writer())
        content = header.encode() + data
        path = segment_path(self.directory, header.segment)
        write_atomic(path, content)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.close(self._descriptor)
        self._descriptor, self._size = descriptor, len(content)
        self._segment, self._format = header.segment, FORMAT


def _unwritable(directory: Path, error: OSError) -> RunError:
    return RunError(
        f"Expected to write to {directory}, but: {error}. Make room or change the permissions, or "
        "choose another directory."
    )
