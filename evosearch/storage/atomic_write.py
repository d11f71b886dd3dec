"""Atomic replacement of a file: readers see the old content or the new one, never a mixture.

The new content is written to a hidden temporary file beside the target, flushed to the disk and
renamed over the target; then the directory is flushed so that the rename survives a power cut.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

__all__ = ["discard_leftovers", "sync_directory", "write_all", "write_atomic"]

# Readers of directories (pyarrow, shells) skip hidden names: no temporary file is read as data.
_PREFIX, _SUFFIX = ".", ".tmp"


def write_atomic(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Replace the content of `path`; text is written as UTF-8 with the newlines it has.

    Raises:
        OSError: The disk is full, say. The old content is untouched unless only the last step
            failed (flushing the directory), after which the new content is in place.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f"{_PREFIX}{path.name}.{secrets.token_hex(4)}{_SUFFIX}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_directory(path.parent)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`; the system may take less than that at a time."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_directory(path: str | os.PathLike[str]) -> None:
    """Flush a directory, so that names created in it or renamed within it survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def discard_leftovers(directory: Path) -> None:
    """Delete temporary files of writers that were killed.

    Only the directory's one writer may call this: it cannot tell them from files in use.
    """
    for leftover in directory.glob(f"{_PREFIX}*{_SUFFIX}"):
        leftover.unlink(missing_ok=True)
