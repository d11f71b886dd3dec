"""Work that does not depend on each other's: in turns on a CPU, side by side on a GPU.

A candidate's update is dozens of kernels that each fill a small part of a GPU, and each waits for
the one before it. The updates of different candidates need not: they go to a few streams.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import torch

from evosearch.training.cuda_graphs import Graphs

__all__ = ["InTurns", "Streams"]

Launch = Callable[[], None]

STREAMS: Final = 8
"""How many updates run side by side on a GPU."""


class InTurns:
    """One after another; each is called until it fails."""

    def __init__(self, works: Sequence[Launch]) -> None:
        self._works = dict(enumerate(works))

    def __call__(self) -> dict[int, Exception]:
        """Call what has not failed yet; return, by position, what was raised by what now does."""
        return _call(self._works)


class Streams:
    """The same on streams of a GPU, each recorded; one piece of work to the current stream."""

    def __init__(self, works: Sequence[Launch], device: torch.device) -> None:
        self._branches: list[tuple[torch.cuda.Stream, dict[int, Launch]]] = []
        for first in range(min(STREAMS, len(works))):
            record = Graphs()  # its own: what runs side by side may not share memory
            branch = {i: record(works[i]) for i in range(first, len(works), STREAMS)}
            self._branches.append((torch.cuda.Stream(device), branch))

    def __call__(self) -> dict[int, Exception]:
        """Call what has not failed yet; return, by position, what was raised by what now does."""
        failed: dict[int, Exception] = {}
        outside = torch.cuda.current_stream()
        for stream, _ in self._branches:
            stream.wait_stream(outside)
        for stream, works in self._branches:
            with torch.cuda.stream(stream):
                failed |= _call(works)
        for stream, _ in self._branches:
            outside.wait_stream(stream)
        return failed


def _call(works: dict[int, Launch]) -> dict[int, Exception]:
    failed: dict[int, Exception] = {}
    for index, work in list(works.items()):
        try:
            work()
        except Exception as error:  # a candidate's failure is its result
            failed[index] = error
            del works[index]
    return failed
