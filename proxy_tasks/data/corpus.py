"""Text as symbols: Python source that comes with the package, or a file of the user's.

The package's text is the same for everybody and for good, so figures of tasks on it compare. It is
the first 3,000,000 bytes of the standard library of CPython 3.11.7 (`Lib` without tests, encodings,
idlelib, lib2to3, pydoc_data, turtledemo, ensurepip and what was installed), the files in the order
of the SHA-256 of their names, which mixes the packages. Its licence lies beside it.
"""

from __future__ import annotations

import lzma
from functools import cache
from importlib.resources import files

import numpy as np
import torch
from torch import Tensor

from proxy_tasks.data.cache import TaskDataError, kept, located

__all__ = ["VALIDATION", "VOCABULARY", "corpus", "packaged_text", "spelled"]

VOCABULARY = 96
"""Printable ASCII, in order, then the newline; every other byte reads as a space."""

_PACKAGED = "python_stdlib.txt.xz"
VALIDATION = 0.1
"""The share of a text, its end, that is for validation."""
_LEAST = 100_000


_ALPHABET = np.zeros(256, dtype=np.uint8)
_ALPHABET[32:127] = np.arange(95)
_ALPHABET[ord("\n")] = 95


def spelled(text: bytes) -> list[int]:
    """Return a text's symbols, one a byte."""
    return _ALPHABET[np.frombuffer(text, dtype=np.uint8)].tolist()


@kept
def corpus(path: str, megabytes: float, device: torch.device) -> tuple[Tensor, int]:
    """Return a text as uint8 symbols below `VOCABULARY`, and where its validation part begins.

    Args:
        path: A text file; empty for the package's.
        megabytes: How many million bytes to read at most.
        device: Where the symbols go.

    Raises:
        TaskDataError: The file is missing or has fewer than 100,000 bytes.
    """
    limit = int(megabytes * 1e6)
    text = _read(path, limit) if path else packaged_text()[:limit]
    if len(text) < _LEAST:
        raise TaskDataError(
            f"expected at least {_LEAST:,} bytes of text in {path or _PACKAGED}, found "
            f"{len(text):,}; set `path` to a longer file, or raise `megabytes`"
        )
    symbols = torch.from_numpy(_ALPHABET[np.frombuffer(text, dtype=np.uint8)]).to(device)
    return symbols, int(len(text) * (1 - VALIDATION))


def _read(path: str, limit: int) -> bytes:
    file = located(path)
    if not file.is_file():
        raise TaskDataError(
            f"expected a text file at {file}, found none; correct the task's `path`"
        )
    with file.open("rb") as stream:
        return stream.read(limit)


@cache
def packaged_text() -> bytes:
    """Return the package's text whole."""
    return lzma.decompress(files("proxy_tasks.data").joinpath(_PACKAGED).read_bytes())
