"""Jobs on Ray: this machine's cores, or a cluster. The only module that knows Ray.

One long-lived actor a worker, one job in flight on each, the deadline kept here. An actor is never
restarted by Ray: when it dies, hangs or its node is lost, it is replaced and its job is tried once
more elsewhere. A job that fails twice is taken apart to find the guilty candidate, which is
recorded with a status; the others' results are not touched. So which worker did what, how often it
had to be done and how many workers there are never shows in a result.
"""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from evosearch.errors import ClusterError
from evosearch.executor import Result, Timed, Work, perform
from evosearch.job import Job, Outcome, Status
from evosearch.score import BOUND

__all__ = ["RayExecutor"]

_TICK: Final = 0.2
"""Seconds between looks at deadlines."""
_CONNECT: Final = 20.0
"""Seconds that a cluster may take to answer."""
_ATTEMPTS: Final = 2
_OBJECT_STORE: Final = 100 * 2**20
"""Bytes of a local object store; jobs and results are kilobytes."""


@dataclass(frozen=True)
class _Piece:
    """A job or, after faults, a part of one."""

    number: int
    first: int
    """Position of its first candidate in the job."""
    job: Work
    attempt: int = 1


@dataclass(frozen=True)
class _Flight:
    """A piece on a worker."""

    piece: _Piece
    actor: Any
    deadline: float


class RayExecutor:
    """Runs jobs on Ray actors.

    Args:
        workers: actors to start; None means one for each core, or as many as the GPUs allow.
        address: a running cluster, ``host:port``; None starts a private one on this machine.
        gpus_per_worker: share of a GPU that each actor takes.
        deadline: seconds a job may take before its worker is replaced.

    Raises:
        ClusterError: no cluster answers, or it can never give the workers what they need.
    """

    def __init__(
        self,
        workers: int | None = None,
        address: str | None = None,
        gpus_per_worker: float = 0.0,
        deadline: float = 600.0,
    ) -> None:
        self.faults: list[str] = []
        self._deadline = deadline
        self._need = {"CPU": 1.0, "GPU": gpus_per_worker}
        _start(workers, address)
        try:
            self.workers = self._capacity(workers)
        except ClusterError:
            _stop()
            raise
        self._idle: deque[Any] = deque(self._actor() for _ in range(self.workers))
        self._queue: deque[_Piece] = deque()
        self._flying: dict[Any, _Flight] = {}
        self._done: dict[int, dict[int, Result]] = {}
        self._sizes: dict[int, int] = {}
        self._seconds: dict[int, float] = {}

    def submit(self, number: int, job: Work) -> None:
        """Accept a job."""
        self._sizes[number] = len(job.candidates) if isinstance(job, Job) else 1
        self._seconds[number] = 0.0
        self._done[number] = {}
        self._queue.append(_Piece(number, 0, job))
        self._launch()

    def collect(self, number: int) -> Timed:
        """Wait for a job."""
        while _count(self._done[number]) < self._sizes[number]:
            self._launch()
            self._poll()
        parts = self._done.pop(number)
        del self._sizes[number]
        seconds = self._seconds.pop(number)
        if isinstance(parts.get(0), tuple):
            merged: list[Outcome] = []
            for first in sorted(parts):
                part = parts[first]
                assert isinstance(part, tuple)
                merged.extend(part)
            return tuple(merged), seconds
        return parts[0], seconds

    def close(self) -> None:
        """Stop the actors and leave the cluster."""
        import ray

        for flight in self._flying.values():
            ray.kill(flight.actor)
        for actor in self._idle:
            ray.kill(actor)
        self._flying.clear()
        self._idle.clear()
        self._queue.clear()
        _stop()

    def _launch(self) -> None:
        while self._queue and self._idle:
            piece, actor = self._queue.popleft(), self._idle.popleft()
            reference = actor.run.remote(piece.job)
            deadline = time.monotonic() + self._deadline
            self._flying[reference] = _Flight(piece, actor, deadline)

    def _poll(self) -> None:
        import ray

        if not self._flying:
            raise ClusterError("no worker is left and none can be started; resume on a new cluster")
        ready, _ = ray.wait(list(self._flying), num_returns=1, timeout=_TICK)
        for reference in ready:
            self._land(reference)
        now = time.monotonic()
        for reference, flight in list(self._flying.items()):
            if now > flight.deadline:
                del self._flying[reference]
                ray.kill(flight.actor)
                self._fault(flight.piece, Status.TIMEOUT, f"no result in {self._deadline:g} s")

    def _land(self, reference: Any) -> None:
        import ray
        from ray import exceptions

        flight = self._flying.pop(reference)
        try:
            result, seconds = ray.get(reference)
        except exceptions.RayTaskError:
            raise  # our code failed, not a candidate and not the cluster
        except exceptions.RayError as error:
            ray.kill(flight.actor)
            memory = isinstance(error, exceptions.OutOfMemoryError)
            status = Status.MEMORY if memory else Status.CRASHED
            self._fault(flight.piece, status, f"{type(error).__name__} on its worker")
            return
        self._idle.append(flight.actor)
        self._done[flight.piece.number][flight.piece.first] = result
        self._seconds[flight.piece.number] += seconds

    def _fault(self, piece: _Piece, status: Status, message: str) -> None:
        """Replace the lost worker; try the piece again, then take it apart, then blame."""
        self.faults.append(f"job {piece.number}, attempt {piece.attempt}: {message}")
        self._idle.append(self._actor())
        job = piece.job
        if piece.attempt < _ATTEMPTS:
            self._queue.appendleft(replace(piece, attempt=piece.attempt + 1))
        elif isinstance(job, Job) and len(job.candidates) > 1:
            self._queue.extendleft(
                _Piece(piece.number, piece.first + i, replace(job, candidates=(text,)))
                for i, text in reversed(list(enumerate(job.candidates)))
            )
        elif isinstance(job, Job):
            outcome = Outcome(status, message, 0, -BOUND, None, ())
            self._done[piece.number][piece.first] = (outcome,)
        else:
            raise ClusterError(
                f"the baseline of task {job.task} could not be tuned: {message}, twice. Give a "
                "pack more time (`--set budget.seconds_per_pack=...`) or more memory"
            )

    def _actor(self) -> Any:
        import ray

        options: dict[str, Any] = {
            "num_cpus": self._need["CPU"],
            "num_gpus": self._need["GPU"],
            "max_restarts": 0,
            "max_task_retries": 0,
        }
        return ray.remote(**options)(_Worker).remote()

    def _capacity(self, workers: int | None) -> int:
        """Return how many workers to start; refuse what the cluster can never offer."""
        import ray

        room = 0
        for node in ray.nodes():
            if node["Alive"]:
                offers = node["Resources"]
                fits = [offers.get(k, 0.0) / need for k, need in self._need.items() if need]
                room += int(min(fits) + 1e-9)
        if room < (workers or 1):
            have = ray.cluster_resources()
            raise ClusterError(
                f"{workers or 1} workers with 1 CPU and {self._need['GPU']:g} GPU each were asked "
                f"for; the cluster has {have.get('CPU', 0):g} CPUs and {have.get('GPU', 0):g} "
                f"GPUs, room for {room}. Ask for fewer workers, or for a smaller share of a GPU"
            )
        return workers or room


class _Worker:
    """Lives in an actor's process and runs jobs there."""

    def __init__(self) -> None:
        import torch

        torch.set_num_threads(1)

    def run(self, job: Work) -> Timed:
        """Run one job."""
        return perform(job)


def _count(parts: dict[int, Result]) -> int:
    return sum(len(part) if isinstance(part, tuple) else 1 for part in parts.values())


def _start(workers: int | None, address: str | None) -> None:
    import logging
    import socket

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if "RAY_AUTH_TOKEN" in os.environ or (Path.home() / ".ray" / "auth_token").exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # Ray uses a token only where told to
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    common: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        ray.init(
            address="local",
            num_cpus=workers,
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE,
            **common,
        )
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ClusterError(f"expected a cluster's address as HOST:PORT, found `{address}`")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT).close()
        ray.init(address=address, **common)
    except (OSError, ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"no Ray cluster answers at {address}: {error}. Check that `ray start --head` runs "
            "there, that the port is right, and that RAY_AUTH_TOKEN is set if it asks for a token"
        ) from None


def _stop() -> None:
    import ray

    ray.shutdown()
