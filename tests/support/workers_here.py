"""Commands whose workers compute in this process: what they compute is the same, and at once.

A worker's process loads torch anew, and Ray's cluster starts more of them: seconds a command.
`tests/evosearch/workers` is about both, and of each kind of command one test has them.
"""

from __future__ import annotations

from typing import Any

import pytest

from evosearch.workers.executor import Executor, LocalExecutor
from evosearch.workers.ray_cluster import RayExecutor

__all__ = ["compute_here"]


def _child(deadline: float, *, perform: Any, prepare: Any) -> Executor:
    """Return what stands for a process of this machine."""
    del deadline, prepare
    return LocalExecutor(perform)


def _ray(count: int | None, address: str | None, gpus: float, *rest: Any, **more: Any) -> Executor:
    """Return what stands for a private cluster of a few processes; other ones are Ray's."""
    if address or gpus:
        return RayExecutor(count, address, gpus, *rest, **more)
    return LocalExecutor(more["perform"])


def compute_here(patch: pytest.MonkeyPatch, request: pytest.FixtureRequest | None = None) -> None:
    """Let commands compute in this process; not those of a test that is marked `processes`."""
    if request is None or request.node.get_closest_marker("processes") is None:
        patch.setattr("evosearch.workers.child.ChildExecutor", _child)
        patch.setattr("evosearch.workers.ray_cluster.RayExecutor", _ray)
