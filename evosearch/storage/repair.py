"""A way out for a run whose journal was damaged: keep what is sound before the damage.

A search is deterministic, so what comes after is computed again by going on. Nothing is deleted:

    RUN/damaged-1/000003.jsonl             the damaged segment as it was found, and those after it
    RUN/damaged-1/candidates/...parquet    parts that hold records after the damage
"""

from __future__ import annotations

import os
from itertools import count, takewhile
from pathlib import Path

from evosearch.errors import CorruptArchive, RunError, RunNotFound
from evosearch.storage.atomic_write import sync_directory, write_atomic
from evosearch.storage.journal import Journal, lock_run
from evosearch.storage.reader import SegmentReader, segment_path

__all__ = ["repair", "set_aside_parts"]


def repair(directory: str | os.PathLike[str]) -> str | None:
    """Cut a damaged run back to the records before the damage; `search` then goes on from there.

    An extension that was recorded after the damage has to be asked for again.

    Returns:
        What was found and done, a paragraph that is also among the run's faults; None where the
        journal is sound and nothing was done.

    Raises:
        RunNotFound: There is no run.
        RunInUse: Another process writes to it.
        NewerFormat: It was written by a newer version.
        CorruptArchive: Not even the first record can be read.
        RunError: The directory cannot be written.
    """
    directory = Path(directory)
    found = sorted((directory / "journal").glob("*.jsonl"))
    if not found:
        raise RunNotFound(f"Expected a run in {directory}, found no journal there.")
    lock = lock_run(directory)
    try:
        names = (segment_path(directory, number) for number in count(1))
        pairs = takewhile(lambda pair: pair[0] == pair[1], zip(found, names, strict=False))
        whole = [path for path, _ in pairs]
        reader = SegmentReader(directory, paths=whole)
        flaw = _read(reader)
        if len(whole) < len(found) and not flaw:
            flaw = f"A segment is missing before {found[len(whole)]}."
        parts = _parts_after(directory, reader.sequence)
        if parts and not flaw:
            flaw = f"{parts[0]} holds records that are not in the journal."
        if not flaw:
            return None
        if reader.sequence == 0:
            raise CorruptArchive(
                f"{flaw} The first record, which says what is searched, is not there: nothing can "
                "be kept. Restore the run from a copy, or start it again."
            )
        try:
            aside = _set_aside(directory, reader, [*found[reader.segment :], *parts])
        except OSError as error:
            raise _immovable(directory, error) from error
        notice = (
            f"{flaw.partition(' The run cannot')[0]} Kept the {reader.sequence} records before "
            f"that; the files as they were are in {aside}. What followed is computed again."
        )
        journal = Journal(directory, lock)
        journal.append({"kind": "fault", "message": notice})
        return notice
    finally:
        lock.release()


def set_aside_parts(directory: Path, sequence: int) -> str | None:
    """Set aside parts that hold records after this one, the journal's last; for the lock's holder.

    Returns:
        What was found and done, a paragraph; None where there is no such part.

    Raises:
        RunError: They cannot be moved.
    """
    if not any(directory.glob("*/*.parquet")):
        return None
    if not (parts := _parts_after(directory, sequence)):
        return None
    try:
        aside = _vacant(directory)
        _move(parts, aside)
    except OSError as error:
        raise _immovable(directory, error) from error
    return (
        f"{parts[0]} holds records that are not in the journal, which was cut short after record "
        f"{sequence}: they are lost. Such files are in {aside} now; what followed is computed "
        "again."
    )


def _read(reader: SegmentReader) -> str:
    """Read as far as the journal is sound; return what is wrong there, or ""."""
    try:
        for _ in reader:
            pass
    except CorruptArchive as error:
        return str(error)
    return ""


def _parts_after(directory: Path, sequence: int) -> list[Path]:
    """Return the parts that hold records after this one."""
    from evosearch.storage.parquet import TABLES

    paths = [path for name in TABLES for path in sorted((directory / name).glob("*.parquet"))]
    ends = ((path, path.stem.partition("-")[2]) for path in paths)
    return [path for path, end in ends if end.isdigit() and int(end) > sequence]


def _set_aside(directory: Path, reader: SegmentReader, others: list[Path]) -> Path:
    """Keep a copy of the last sound segment, move the others away, and return where to.

    The last goes first: what a crash leaves can be repaired again.
    """
    aside = _vacant(directory)
    last = segment_path(directory, reader.segment)
    content = last.read_bytes()
    write_atomic(aside / last.name, content)
    _move(others, aside)
    write_atomic(last, content[: reader.end])
    sync_directory(directory)
    return aside


def _vacant(directory: Path) -> Path:
    """Make a new folder for what is set aside."""
    names = (directory / f"damaged-{number}" for number in count(1))
    aside = next(path for path in names if not path.exists())
    aside.mkdir()
    return aside


def _move(paths: list[Path], aside: Path) -> None:
    for path in reversed(paths):
        folder = aside if path.parent.name == "journal" else aside / path.parent.name
        folder.mkdir(exist_ok=True)
        os.replace(path, folder / path.name)
        sync_directory(folder)
        sync_directory(path.parent)


def _immovable(directory: Path, error: OSError) -> RunError:
    return RunError(
        f"Expected to set aside the damaged files of {directory}, but: {error}. Nothing is "
        "lost; make room or change the permissions, and try again."
    )
