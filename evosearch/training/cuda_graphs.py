"""CUDA graphs: on a GPU, work that repeats is launched whole instead of one kernel at a time.

A step of a pack is hundreds of small kernels, and launching them from Python takes longer than
running them. Work that cannot be recorded, because it waits for the device or uses a library that
does, runs as it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import torch

__all__ = ["Graphs", "Recorder", "recording"]

Recorder = Callable[[Callable[[], None]], Callable[[], None]]
"""Turns work into a call that does the same. The work must read and write the same memory each
time, and keep nothing that changes on the host."""

_WARM_UP: Final = 2
"""Calls before the recorded one, in which libraries and caches set themselves up."""


@contextmanager
def recording(device: torch.device) -> Iterator[Recorder | None]:
    """Yield what records work on a device as CUDA graphs; None where there are none."""
    if device.type != "cuda":
        yield None
        return
    outside, stream = torch.cuda.current_stream(device), torch.cuda.Stream(device)
    stream.wait_stream(outside)
    with torch.cuda.device(device), torch.cuda.stream(stream):
        yield Graphs()
    outside.wait_stream(stream)


class Graphs:
    """Records works that are called one after another on one stream, and share temporaries."""

    def __init__(self) -> None:
        self.pool: Any = torch.cuda.graph_pool_handle()

    def __call__(self, work: Callable[[], None]) -> Callable[[], None]:
        """Return a call that does the work, from its third time on as a graph."""
        return _CapturedStep(work, self)

    def renew(self) -> None:
        """Take a new pool of memory: one that a recording failed in may not be used again."""
        self.pool = torch.cuda.graph_pool_handle()


class _CapturedStep:
    """Work that is recorded at its third call and repeated from then on.

    The first calls are work too: nothing is done twice, and nothing for the recording alone.
    """

    def __init__(self, work: Callable[[], None], graphs: Graphs) -> None:
        self._work = work
        self._graphs = graphs
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._plain = False

    def __call__(self) -> None:
        if self._graph is None and not self._plain and self._calls == _WARM_UP:
            self._graph = self._capture()
            self._plain = self._graph is None
        self._calls += 1
        if self._graph is not None:
            self._graph.replay()
        else:
            self._work()

    def _capture(self) -> torch.cuda.CUDAGraph | None:
        """Recorder the work, without doing it; None if it cannot be recorded."""
        try:
            return self._record()
        except torch.OutOfMemoryError:
            pass  # memory that is cached cannot be given back while recording; it can now
        except Exception:  # if the work itself is at fault, it says so again when it is done
            return None
        torch.cuda.empty_cache()
        try:
            return self._record()
        except Exception:  # as above
            return None

    def _record(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        graph.capture_begin(pool=self._graphs.pool, capture_error_mode="thread_local")
        try:
            self._work()
        except Exception:
            _abandon(graph)
            self._graphs.renew()
            raise
        try:
            graph.capture_end()
        except RuntimeError:  # something in it was not allowed, and was ignored until now
            self._graphs.renew()
            raise
        return graph


def _abandon(graph: torch.cuda.CUDAGraph) -> None:
    """End a recording that failed; that it did, and that it is empty, is no news."""
    with suppress(RuntimeError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph.capture_end()
