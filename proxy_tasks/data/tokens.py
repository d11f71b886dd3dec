"""The package's text as tokens: frequent words whole, the others spelled out.

A piece is a run of letters, a line's indentation, or a single character; the most frequent pieces
have a token of their own, and whatever has none is written in characters. Nothing is learned and
nothing downloaded, so the tokens are the same everywhere.
"""

from __future__ import annotations

import re
from collections import Counter

import torch
from torch import Tensor

from proxy_tasks.data.cache import TaskDataError, kept
from proxy_tasks.data.corpus import VALIDATION, VOCABULARY, packaged_text, spelled

__all__ = ["tokens"]

_PIECE = re.compile(rb"[A-Za-z_]+|\n *|.", re.DOTALL)


@kept
def tokens(vocabulary: int, device: torch.device) -> tuple[Tensor, int]:
    """Return the text as int32 tokens below `vocabulary`, and where its validation part begins.

    The alphabet's symbols come first, in the order of `proxy_tasks.data.corpus`.

    Raises:
        TaskDataError: The vocabulary is smaller than the alphabet.
    """
    if vocabulary < VOCABULARY:
        raise TaskDataError(
            f"expected a vocabulary of at least the {VOCABULARY} characters, found {vocabulary}; "
            "raise `vocabulary`"
        )
    pieces = _PIECE.findall(packaged_text())
    longer = Counter(piece for piece in pieces if len(piece) > 1)
    frequent = sorted(longer, key=lambda piece: (-longer[piece], piece))
    known = {piece: VOCABULARY + i for i, piece in enumerate(frequent[: vocabulary - VOCABULARY])}
    written: list[int] = []
    for piece in pieces:
        token = known.get(piece)
        if token is None:
            written += spelled(piece)
        else:
            written.append(token)
    return torch.tensor(written, dtype=torch.int32, device=device), int(
        len(written) * (1 - VALIDATION)
    )
