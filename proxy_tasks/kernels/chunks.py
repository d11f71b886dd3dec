"""Groups of lanes: a large pack is run on a few lanes at a time.

Lanes do not depend on each other, so this changes no result. On a CPU it keeps what one operation
writes in the cache until the next one reads it; everywhere it bounds the memory of a pack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, wraps
from typing import TypeVar, cast

import torch
from torch import Tensor

from proxy_tasks.task import Batch, Task, Weights

__all__ = ["by_lanes", "grouped", "groups"]

CACHE_BYTES = 16 * 2**20
"""What a group may use on a CPU, where less costs more in calls than it saves in memory."""
DEVICE_BYTES = 4 * 2**30
"""What a group may use on another device."""
DEVICE_FACTOR = 16
"""How many times as many lanes `by_lanes` takes at once there."""


def groups(lanes: int, lane_bytes: float, device: torch.device) -> Iterator[slice]:
    """Yield slices that cover the lanes, nearly equal in size and as few as the memory allows."""
    budget = CACHE_BYTES if device.type == "cpu" else DEVICE_BYTES
    most = max(1, int(budget / lane_bytes))
    count = -(-lanes // most)
    for i in range(count):
        yield slice(i * lanes // count, (i + 1) * lanes // count)


def _select(tensors: Mapping[str, Tensor], lanes: slice) -> dict[str, Tensor]:
    return {name: tensor[lanes] for name, tensor in tensors.items()}


@lru_cache(maxsize=64)
def _parts(task: Task, lanes: int, device: torch.device) -> tuple[slice, ...]:
    """Return the groups of a task's lanes, which are the same at every step."""
    return tuple(groups(lanes, task.lane_bytes, device))


Gradient = TypeVar("Gradient", bound=Callable[..., None])


def grouped(gradient: Gradient) -> Gradient:
    """Make a task's `gradient` run on groups of lanes, by the task's `lane_bytes`."""

    @wraps(gradient)
    def run(self: Task, weights: Weights, batch: Batch, out: Mapping[str, Tensor]) -> None:
        parts = _parts(self, batch[0].shape[0], batch[0].device)
        if len(parts) == 1:
            gradient(self, weights, batch, out)
            return
        for lanes in parts:
            data = tuple(part[lanes] for part in batch)
            gradient(self, _select(weights, lanes), data, _select(out, lanes))

    return cast(Gradient, run)


def by_lanes(
    function: Callable[[Weights, Batch], Tensor], weights: Weights, batch: Batch, lanes: int
) -> Tensor:
    """Return a function's values (L,), computed for so many lanes at a time.

    On another device than a CPU, which has no cache to stay in, for `DEVICE_FACTOR` times as many.
    """
    total = batch[0].shape[0]
    if batch[0].device.type != "cpu":
        lanes *= DEVICE_FACTOR
    parts = [slice(start, start + lanes) for start in range(0, total, lanes)]
    return torch.cat([function(_select(weights, p), tuple(t[p] for t in batch)) for p in parts])
