"""A list of values that lie in a temporary file, but for those put in or fetched last.

A search keeps something of every candidate that it hardly ever looks at again, and there may be a
million of them: as objects of Python a few kilobytes each, here a dozen bytes each.
"""

from __future__ import annotations

import os
import pickle
import tempfile
import weakref
from array import array
from collections.abc import Iterator, Sequence
from typing import Final, Generic, TypeVar, cast, overload

from evosearch.errors import RunError

__all__ = ["SpilledList"]

T = TypeVar("T")

_TAIL: Final = 1 << 20
"""Bytes that are collected before they are written; a small list needs no file."""
_AT_HAND: Final = 1024
"""Values that are kept as they are."""


class SpilledList(Sequence[T], Generic[T]):
    """A list of immutable values. What is read need not be the very object that was put in.

    The file has no name, so it is gone with the process and nobody else can write to it; that is
    why what it holds may be unpickled.
    """

    def __init__(self) -> None:
        self._file: int | None = None
        self._written = 0
        self._tail = bytearray()
        self._places = array("Q")
        """Where each value begins: in the file or, beyond its end, in the tail."""
        self._sizes = array("L")
        self._at_hand: dict[int, T] = {}

    def append(self, value: T) -> None:
        """Add a value.

        Raises:
            RunError: The temporary file cannot be written.
        """
        place, size = self._put_down(value)
        self._places.append(place)
        self._sizes.append(size)
        self._keep(len(self) - 1, value)

    def __setitem__(self, index: int, value: T) -> None:
        """Replace a value; raises like `append`."""
        index = range(len(self))[index]
        self._places[index], self._sizes[index] = self._put_down(value)
        self._keep(index, value)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        """Return a value, or a list of values."""
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        index = range(len(self))[index]
        if index not in self._at_hand:
            self._keep(index, cast(T, pickle.loads(self._read(index))))
        return self._at_hand[index]

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[T]:
        for index in range(len(self)):
            yield self[index]

    def _keep(self, index: int, value: T) -> None:
        self._at_hand.pop(index, None)  # the newest come last
        self._at_hand[index] = value
        if len(self._at_hand) > _AT_HAND:
            del self._at_hand[next(iter(self._at_hand))]

    def _put_down(self, value: T) -> tuple[int, int]:
        """Add a value to the tail; return where it begins and its size."""
        data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        if self._tail and len(self._tail) + len(data) > _TAIL:
            self._write()
        place = self._written + len(self._tail)
        self._tail += data
        return place, len(data)

    def _read(self, index: int) -> bytes:
        place, size = self._places[index], self._sizes[index]
        if place >= self._written:
            start = place - self._written
            return bytes(self._tail[start : start + size])
        assert self._file is not None
        return os.pread(self._file, size, place)

    def _write(self) -> None:
        done = 0
        try:
            if self._file is None:
                file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - as long as the shelf
                weakref.finalize(self, file.close)
                self._file = file.fileno()
            while done < len(self._tail):
                rest = self._tail[done:]
                done += os.pwrite(self._file, rest, self._written + done)
        except OSError as error:
            raise RunError(
                f"expected to write a temporary file, but: {error}. Make room there, or set TMPDIR "
                "to another folder; a search can be resumed"
            ) from error
        self._written += len(self._tail)
        self._tail = bytearray()
