"""Jobs on Ray: this machine's cores, or a cluster. The only module that knows Ray.

One long-lived actor a worker, one job in flight on each, the deadline kept here. An actor is never
restarted by Ray: when it dies, hangs or its node is lost, it is replaced and `pieces` says what has
to be done again. So which worker did what, how often it had to be done and how many workers there
are never shows in a result.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from evosearch.errors import ClusterError
from evosearch.training.job import Status
from evosearch.workers.executor import Timed, Work, perform
from evosearch.workers.reachable import require_ray
from evosearch.workers.retry import Piece, Pieces

__all__ = ["RayExecutor"]

_TICK: Final = 0.2
"""Seconds between looks at deadlines."""
_CONNECT: Final = 20.0
"""Seconds that a cluster may take to answer."""
_START: Final = 300.0
"""Seconds without any worker after which the search gives up; a start takes a few."""
_OBJECT_STORE: Final = 100 * 2**20
"""Bytes of a local object store; jobs and results are kilobytes."""


@dataclass(frozen=True)
class _Flight:
    """A piece on a worker."""

    piece: Piece
    actor: Any
    deadline: float


class RayExecutor:
    """Runs jobs on Ray actors.

    Args:
        workers: actors to start; None means one for each core, or as many as the GPUs allow.
        address: a running cluster, ``host:port``; None starts a private one on this machine.
        gpus_per_worker: share of a GPU that each actor takes.
        deadline: seconds a job may take before its worker is replaced.
        perform: what a worker does with a job.
        prepare: what a worker does before it takes one.

    Raises:
        ClusterError: no cluster answers, or it can never give the workers what they need.
    """

    def __init__(
        self,
        workers: int | None = None,
        address: str | None = None,
        gpus_per_worker: float = 0.0,
        deadline: float = 600.0,
        *,
        perform: Callable[[Work], Timed] = perform,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self.faults: list[str] = []
        self._deadline = deadline
        self._perform, self._prepare = perform, prepare
        self._need = {"CPU": 1.0, "GPU": gpus_per_worker}
        _start(workers, address)
        try:
            self.workers = self._capacity(workers)
        except ClusterError:
            _stop()
            raise
        self._starting: dict[Any, Any] = {}
        """Actors by the reference that tells when they have started."""
        self._idle: deque[Any] = deque()
        self._worked = time.monotonic()
        """When a worker was last known to live."""
        for _ in range(self.workers):
            self._hire()
        self._pieces = Pieces()
        self._queue: deque[Piece] = deque()
        self._flying: dict[Any, _Flight] = {}

    def submit(self, number: int, job: Work) -> None:
        """Accept a job."""
        self._queue.append(self._pieces.open(number, job))
        self._launch()

    def ready(self, number: int) -> bool:
        """Whether a job is done."""
        if not self._pieces.complete(number) and self._flying:
            self._poll(0.0)
        return self._pieces.complete(number)

    def collect(self, number: int) -> Timed:
        """Wait for a job."""
        while not self._pieces.complete(number):
            self._launch()
            self._poll(_TICK)
        return self._pieces.take(number)

    def close(self) -> None:
        """Stop the actors and leave the cluster."""
        import ray

        flying = [flight.actor for flight in self._flying.values()]
        for actor in (*flying, *self._idle, *self._starting.values()):
            ray.kill(actor)
        self._flying.clear()
        self._idle.clear()
        self._starting.clear()
        self._queue.clear()
        _stop()

    def _launch(self) -> None:
        while self._queue and self._idle:
            piece, actor = self._queue.popleft(), self._idle.popleft()
            reference = actor.run.remote(piece.job)
            deadline = time.monotonic() + self._deadline
            self._flying[reference] = _Flight(piece, actor, deadline)

    def _poll(self, timeout: float) -> None:
        """Wait for news up to so many seconds, and see to all of it."""
        import ray

        waiting = [*self._flying, *self._starting]
        ready, rest = ray.wait(waiting, num_returns=1, timeout=timeout)
        if ready and rest:
            ready += ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        for reference in ready:
            if reference in self._starting:
                self._welcome(reference)
            else:
                self._land(reference)
        self._launch()
        now = time.monotonic()
        if self._flying or self._idle:
            self._worked = now
        elif now > self._worked + _START:
            raise ClusterError(
                f"no worker is left, and none started in {_START:g} s: the cluster has lost what "
                "they need, or they die at their start. Nothing is lost; resume on a new cluster"
            )
        for reference, flight in list(self._flying.items()):
            if now > flight.deadline:
                del self._flying[reference]
                ray.kill(flight.actor)
                self._fault(flight.piece, Status.TIMEOUT, f"no result in {self._deadline:g} s")

    def _welcome(self, reference: Any) -> None:
        """Give work to a worker that has started, or try another one in its place."""
        import ray
        from ray.exceptions import RayError

        actor = self._starting.pop(reference)
        try:
            ray.get(reference)
        except RayError as error:
            self.faults.append(f"a worker did not start: {type(error).__name__}")
            ray.kill(actor)
            time.sleep(_TICK)
            self._hire()
        else:
            self._idle.append(actor)
            self._launch()

    def _land(self, reference: Any) -> None:
        import ray
        from ray import exceptions

        flight = self._flying.pop(reference)
        try:
            result: Any = ray.get(reference)
        except exceptions.RayTaskError:
            raise  # our code failed, not a candidate and not the cluster
        except exceptions.RayError as error:
            ray.kill(flight.actor)
            memory = isinstance(error, exceptions.OutOfMemoryError)
            status = Status.MEMORY if memory else Status.CRASHED
            self._fault(flight.piece, status, f"{type(error).__name__} on its worker")
            return
        self._idle.append(flight.actor)
        self._pieces.land(flight.piece, result)

    def _fault(self, piece: Piece, status: Status, message: str) -> None:
        """Replace the lost worker and see to what it was doing."""
        self.faults.append(f"job {piece.number}, attempt {piece.attempt}: {message}")
        self._hire()
        self._queue.extendleft(reversed(self._pieces.fault(piece, status, message)))

    def _hire(self) -> None:
        """Start a worker; it gets work, and a deadline for it, when it has started."""
        import ray

        options: dict[str, Any] = {
            "num_cpus": self._need["CPU"],
            "num_gpus": self._need["GPU"],
            "max_restarts": 0,
            "max_task_retries": 0,
        }
        hired: Any = ray.remote(**options)(_Worker)
        actor = hired.remote(self._perform, self._prepare)
        self._starting[actor.ready.remote()] = actor

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

    def __init__(
        self, perform: Callable[[Work], Timed], prepare: Callable[[], None] | None
    ) -> None:
        import torch

        torch.set_num_threads(1)
        self._perform, self._prepare = perform, prepare

    def ready(self) -> None:
        """Return when the worker has started, and is prepared."""
        if self._prepare is not None:
            self._prepare()

    def run(self, job: Work) -> Timed:
        """Run one job."""
        return self._perform(job)


def _start(workers: int | None, address: str | None) -> None:
    import logging

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    token = "RAY_AUTH_TOKEN" in os.environ or (Path.home() / ".ray" / "auth_token").exists()
    if token and "ray" not in sys.modules:  # Ray uses a token only where told to, when imported
        os.environ.setdefault("RAY_AUTH_MODE", "token")
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
    if not host or "/" in host or not port.isdigit() or int(port) > 65535:
        raise ClusterError(f"expected a cluster's address as HOST:PORT, found `{address}`")
    try:
        require_ray(host, int(port), _CONNECT)
        ray.init(address=address, **common)
    except (OSError, ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"no Ray cluster answers at {address}: {error}. Check that `ray start --head` runs "
            "there, that the port is right, and that RAY_AUTH_TOKEN is set if it asks for a token"
        ) from None


def _stop() -> None:
    import ray

    ray.shutdown()
