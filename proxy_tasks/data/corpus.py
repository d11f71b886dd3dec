"""Text as symbols: the installed Python's standard library, or a file of the user's."""

from __future__ import annotations

import hashlib
import sysconfig
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from proxy_tasks.data.cache import DataError, kept

__all__ = ["VOCABULARY", "corpus"]

VOCABULARY = 96
"""Printable ASCII, in order, then the newline; every other byte reads as a space."""

_SKIPPED = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "pydoc_data",
            "encodings", "__pycache__"}  # fmt: skip
_VALIDATION = 0.1
_LEAST = 100_000


@kept
def corpus(path: str, megabytes: float, device: torch.device) -> tuple[Tensor, int]:
    """Return a text as uint8 symbols below `VOCABULARY`, and where its validation part begins.

    Args:
        path: A text file; empty for the standard library's own source.
        megabytes: How many million bytes to read at most.
        device: Where the symbols go.

    Raises:
        DataError: The file is missing or has fewer than 100,000 bytes.
    """
    limit = int(megabytes * 1e6)
    text = _read(path, limit) if path else _standard_library(limit)
    if len(text) < _LEAST:
        source = path or "Python's standard library"
        raise DataError(
            f"expected at least {_LEAST:,} bytes of text in {source}, found {len(text):,}; "
            "set `path` to a longer file"
        )
    table = np.zeros(256, dtype=np.uint8)
    table[32:127] = np.arange(95)
    table[ord("\n")] = 95
    symbols = torch.from_numpy(table[np.frombuffer(text, dtype=np.uint8)]).to(device)
    return symbols, int(len(text) * (1 - _VALIDATION))


def _read(path: str, limit: int) -> bytes:
    file = Path(path).expanduser()
    if not file.is_file():
        raise DataError(f"expected a text file at {file}, found none; correct the task's `path`")
    with file.open("rb") as stream:
        return stream.read(limit)


def _standard_library(limit: int) -> bytes:
    """Concatenate source files, in an order that mixes the packages and depends on names alone."""
    root = Path(sysconfig.get_path("stdlib"))
    names = [
        name
        for file in root.rglob("*.py")
        if not _SKIPPED.intersection((name := file.relative_to(root)).parts)
    ]
    names.sort(key=lambda name: hashlib.sha256(name.as_posix().encode()).digest())
    pieces: list[bytes] = []
    total = 0
    for name in names:
        pieces.append((root / name).read_bytes().replace(b"\r\n", b"\n")[: limit - total])
        total += len(pieces[-1])
        if total >= limit:
            break
    return b"".join(pieces)
