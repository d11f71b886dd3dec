"""Packs: which lanes train together, and what becomes of a pack that fails as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import torch
from torch import Tensor

from evosearch.training.lanes import Entry, TaskFailed, train
from evosearch.training.layout import Layout
from evosearch.training.problem import Problem
from proxy_tasks.task import Task

__all__ = ["TEMPORARIES", "train_entries"]

TEMPORARIES: Final = 4
"""Parameter-sized buffers that an update function is taken to need besides its states."""

CACHE_BYTES = 8 << 20
"""Working set that a pack should fit into: about a core's share of the fast caches."""
DEVICE_SHARE = 1 / 8
"""The same on a GPU, as a share of its memory: several workers may use one, and the activations
come on top."""


def train_entries(
    task: Task, seeds: Sequence[int], entries: Sequence[Entry], device: str
) -> Iterator[Tensor | Exception]:
    """Yield each entry's end values (trials, seeds), or what its update raised, in order."""
    capacity = _capacity(Layout.of(task), torch.device(device))
    for pack in _packs(entries, len(seeds), capacity):
        size = max(1, capacity // sum(len(entry.trials) for entry in pack))
        groups = [seeds[i : i + size] for i in range(0, len(seeds), size)]
        columns = [_train(Problem.of(task, group, device=device), pack) for group in groups]
        for values in zip(*columns, strict=True):
            errors = [v for v in values if isinstance(v, Exception)]
            kept = [v for v in values if isinstance(v, Tensor)]
            yield errors[0] if errors else torch.cat(kept, dim=1)


def _packs(entries: Sequence[Entry], seeds: int, capacity: int) -> Iterator[list[Entry]]:
    """Group entries, in their order, into packs of at most so many lanes, or of one entry.

    All seeds count: the more lanes a candidate has in a pack, the fewer calls for each of them.
    """
    pack: list[Entry] = []
    lanes = 0
    for entry in entries:
        own = len(entry.trials) * seeds
        if pack and lanes + own > capacity:
            yield pack
            pack, lanes = [], 0
        pack.append(entry)
        lanes += own
    if pack:
        yield pack


def _capacity(layout: Layout, device: torch.device) -> int:
    """Return how many lanes' weights, gradients and temporaries a pack may hold."""
    room: float = CACHE_BYTES
    if device.type == "cuda":
        room = DEVICE_SHARE * torch.cuda.get_device_properties(device).total_memory
    return max(1, int(room / (4 * (2 + TEMPORARIES) * layout.size)))


def _train(problem: Problem, entries: list[Entry]) -> list[Tensor | Exception]:
    """Train a pack; one that memory or its task cannot bear is split to find what is to blame."""
    try:
        return train(problem, entries)
    except (MemoryError, torch.OutOfMemoryError, TaskFailed) as error:
        if len(entries) == 1:
            return [error]
    half = len(entries) // 2
    return _train(problem, entries[:half]) + _train(problem, entries[half:])
