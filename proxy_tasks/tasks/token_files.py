"""A language model on token files in the format of nanoGPT, llm.c and modded-nanogpt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from proxy_tasks.data.cache import TaskDataError, folder, kept
from proxy_tasks.tasks.language_model import LanguageModel
from proxy_tasks.tasks.language_task import LanguageTask

__all__ = ["TokenFiles", "read_tokens"]

MAGIC = 20240520
"""First of the 256 32-bit integers that llm.c puts before its 16-bit tokens."""
HEADER_BYTES = 1024


@dataclass(frozen=True)
class TokenFiles(LanguageTask):
    """Predict the next token of ``train.bin`` and ``val.bin`` in a folder of the user's."""

    family: ClassVar[str] = "token_files"
    summary: ClassVar[str] = "transformer on your train.bin and val.bin tokens; validation loss"
    metric: ClassVar[str] = "validation cross-entropy (nats per token)"

    steps: int = 1000
    batch: int = 16
    context: int = 256
    width: int = 128
    layers: int = 2
    heads: int = 4
    path: str = ""
    """A folder with train.bin and val.bin: 16-bit tokens, with llm.c's header or without."""
    vocabulary: int = 50304
    """One more than the largest token, or rounded up; 50304 fits GPT-2's."""
    megatokens: float = 10.0
    """How many million tokens to read at most from each file."""

    @property
    def model(self) -> LanguageModel:
        """The transformer."""
        return LanguageModel(self.vocabulary, self.context, self.width, self.layers, self.heads)

    def symbols(self, device: torch.device) -> tuple[Tensor, int]:
        """Return the training tokens, then the validation tokens, and where those begin.

        Raises:
            TaskDataError: A file is missing, malformed, too short, or has too large a token.
        """
        limit = int(self.megatokens * 1e6)
        return _symbols(self.path, limit, self.vocabulary, self.context, device)


@kept
def _symbols(
    path: str, limit: int, vocabulary: int, context: int, device: torch.device
) -> tuple[Tensor, int]:
    root = folder(path, "train.bin and val.bin")
    parts = [read_tokens(root / name, limit) for name in ("train.bin", "val.bin")]
    for name, part in zip(("train.bin", "val.bin"), parts, strict=True):
        if len(part) <= context + 1:
            raise TaskDataError(
                f"expected more than {context + 1} tokens in {root / name}, found {len(part)}; "
                "give a longer file or a shorter `context`"
            )
        if (largest := int(part.max())) >= vocabulary:
            raise TaskDataError(
                f"expected tokens below {vocabulary} in {root / name}, found {largest}; "
                f"set `vocabulary` to at least {largest + 1}"
            )
    return torch.from_numpy(np.concatenate(parts).astype(np.int32)).to(device), len(parts[0])


def read_tokens(file: Path, limit: int) -> np.ndarray:
    """Return the first tokens of a file (at most `limit`), as uint16.

    Raises:
        TaskDataError: The file is missing, or its size does not fit its header.
    """
    if not file.is_file():
        raise TaskDataError(
            f"expected 16-bit tokens in {file}, found no file; prepare it or set `path`"
        )
    size = file.stat().st_size
    if size % 2:
        raise TaskDataError(
            f"expected 16-bit tokens in {file}, found an odd number of bytes ({size}); "
            "write the file again"
        )
    head = np.fromfile(file, dtype="<i4", count=3)
    if len(head) < 3 or head[0] != MAGIC:
        return np.fromfile(file, dtype="<u2", count=limit)
    version, count = int(head[1]), int(head[2])
    if version != 1 or size != HEADER_BYTES + 2 * count:
        raise TaskDataError(
            f"expected {file} to be version 1 with {count} tokens after its header, found version "
            f"{version} and {(size - HEADER_BYTES) // 2} tokens; write the file again"
        )
    return np.fromfile(file, dtype="<u2", count=min(limit, count), offset=HEADER_BYTES)
