"""Groups of lanes: a model whose activations are large is run on a few lanes at a time.

Lanes do not depend on each other, so this changes no result. It bounds the memory of a pack, and
keeps what one operation writes in the cache until the next one reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from proxy_tasks.task import Batch, Weights

__all__ = ["by_lanes", "groups", "select"]

CACHE_BYTES = 2**24


def groups(lanes: int, lane_bytes: float) -> Iterator[slice]:
    """Yield slices over the lanes, each of about 16 MiB of activations."""
    size = max(1, int(CACHE_BYTES / lane_bytes))
    for start in range(0, lanes, size):
        yield slice(start, min(start + size, lanes))


def select(tensors: Mapping[str, Tensor], lanes: slice) -> dict[str, Tensor]:
    """Return views of some lanes of each tensor."""
    return {name: tensor[lanes] for name, tensor in tensors.items()}


def by_lanes(
    function: Callable[[Weights, Batch], Tensor], weights: Weights, batch: Batch, lanes: int
) -> Tensor:
    """Return a function's values (L,), computed for a few lanes at a time."""
    total = batch[0].shape[0]
    parts = [slice(start, start + lanes) for start in range(0, total, lanes)]
    return torch.cat([function(select(weights, p), tuple(t[p] for t in batch)) for p in parts])
