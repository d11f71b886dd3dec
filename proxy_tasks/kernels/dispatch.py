"""Who computes: kernels of our own, or torch.

Ours serve float32 numbers in memory on the processors that they were measured on, where nothing
asks for gradients by autograd. torch does all else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Final

import torch
from torch import Tensor

from proxy_tasks.kernels.abi import TILES, Tile
from proxy_tasks.kernels.jit import features

__all__ = ["by_torch", "kernels", "own_tile", "plain", "processor_tile"]

_ALLOWED: Final = ContextVar("allowed", default=True)


@cache
def processor_tile() -> Tile | None:
    """Return the tile for this processor; None where no kernel of ours is to be used."""
    return next((tile for feature, tile in TILES.items() if feature in features()), None)


def kernels() -> str:
    """Return whose kernels train float32 lanes on this machine's CPU, in words."""
    own = processor_tile()
    return f"own, {32 * own.width} bits" if own else "torch's"


@contextmanager
def by_torch() -> Iterator[None]:
    """Within it torch computes everything."""
    token = _ALLOWED.set(False)
    try:
        yield
    finally:
        _ALLOWED.reset(token)


def own_tile(*tensors: Tensor) -> Tile | None:
    """Return the tile to multiply by; None where torch is to compute with these."""
    return processor_tile() if _ALLOWED.get() and all(map(plain, tensors)) else None


def plain(x: Tensor) -> bool:
    """Whether a tensor is no more than float32 numbers in this machine's memory."""
    watched = x.requires_grad and torch.is_grad_enabled()
    return x.is_cpu and x.dtype is torch.float32 and type(x) is Tensor and not watched
