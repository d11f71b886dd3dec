"""Jobs on Ray: this machine's cores, or a cluster.

One long-lived actor a worker, one job in flight on each, the deadline kept here. An actor is never
restarted by Ray: when it dies, hangs or its node is lost, it is replaced and `retry` says what has
to be done again. So which worker did what, how often it had to be done and how many workers there
are never shows in a result.
"""

from __future__ import annotations

import heapq
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from evosearch.errors import ClusterError, EvosearchError
from evosearch.training.job import Status
from evosearch.workers.executor import AnyJob, Timed, perform
from evosearch.workers.heartbeat import Heartbeat
from evosearch.workers.ray_session import join, start
from evosearch.workers.retry import Piece, Pieces

__all__ = ["RayExecutor"]

_TICK: Final = 0.2
"""Seconds between looks at deadlines."""
_PENDING: Final = 300.0
"""Seconds without any worker after which the search gives up, while none has failed: a cluster may
be growing."""
_FAILING: Final = 30.0
"""The same where workers start and fail: waiting mends nothing."""
_LONGEST_PAUSE: Final = 30.0
"""Seconds at most before a worker is hired in place of one that failed to start."""


@dataclass(frozen=True)
class _Flight:
    """A piece on a worker."""

    piece: Piece
    actor: Any
    deadline: float


class RayExecutor:
    """Runs jobs on Ray actors.

    Args:
        workers: actors to start; None means one for each core, or as many as the GPUs allow. On a
            cluster there may be more than fit at first: they start when it has grown.
        address: a running cluster, ``host:port``; None starts a private one on this machine.
        gpus_per_worker: share of a GPU that each actor takes.
        deadline: seconds a job may take before its worker is replaced.
        runtime: what travels to a cluster's nodes, as Ray's runtime environment.
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
        runtime: Mapping[str, Any] | None = None,
        perform: Callable[[AnyJob], Timed] = perform,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self.faults: list[str] = []
        self.on_fault: Callable[[str], None] = lambda _: None
        self._deadline = deadline
        self._perform, self._prepare = perform, prepare
        self._need = {"CPU": 1.0, "GPU": gpus_per_worker}
        self._session = start(workers) if address is None else join(address, runtime or {})
        try:
            self.workers = self._capacity(workers, grows=address is not None)
        except ClusterError:
            self._session.close()
            raise
        import ray

        self._head = Heartbeat(ray.get_runtime_context().gcs_address)
        self._starting: dict[Any, Any] = {}
        """Actors by the reference that tells when they have started."""
        self._idle: deque[Any] = deque()
        self._due: list[float] = []
        """When to hire in place of workers that failed to start; a heap."""
        self._failures = 0
        """How many have failed to start since one did."""
        self._worked = time.monotonic()
        """When a worker was last known to live."""
        for _ in range(self.workers):
            self._hire()
        self._pieces = Pieces()
        self._queue: deque[Piece] = deque()
        self._flying: dict[Any, _Flight] = {}

    def submit(self, number: int, job: AnyJob) -> None:
        """Accept a job."""
        self._queue.append(self._pieces.open(number, job))
        self._launch()

    def ready(self, number: int) -> bool:
        """Whether a job is done."""
        if not self._pieces.complete(number) and self._flying:
            self._poll(0.0)
        return self._pieces.complete(number)

    def collect(self, number: int) -> Timed:
        """Wait for a job.

        Raises:
            ClusterError: The cluster's head is gone, or no worker can be had.
        """
        while not self._pieces.complete(number):
            self._launch()
            self._poll(_TICK)
        return self._pieces.take(number)

    def close(self) -> None:
        """Stop the actors and leave the cluster."""
        import ray

        self._head.close()
        flying = [flight.actor for flight in self._flying.values()]
        if not self._head.lost:
            for actor in (*flying, *self._idle, *self._starting.values()):
                ray.kill(actor)
        self._flying.clear()
        self._idle.clear()
        self._starting.clear()
        self._queue.clear()
        self._session.close()

    def _launch(self) -> None:
        while self._queue and self._idle:
            piece, actor = self._queue.popleft(), self._idle.popleft()
            reference = actor.run.remote(piece.job)
            deadline = time.monotonic() + self._deadline * piece.share
            self._flying[reference] = _Flight(piece, actor, deadline)

    def _poll(self, timeout: float) -> None:
        """Wait for news up to so many seconds, and see to all of it."""
        import ray

        if self._head.lost:
            raise ClusterError(
                f"the head of the Ray cluster at {self._head.address} no longer answers. Nothing "
                "that was committed is lost; go on when there is a cluster again"
            )
        if waiting := [*self._flying, *self._starting]:
            ready, rest = ray.wait(waiting, num_returns=1, timeout=timeout)
            if ready and rest:
                ready += ray.wait(rest, num_returns=len(rest), timeout=0)[0]
            for reference in ready:
                if reference in self._starting:
                    self._welcome(reference)
                else:
                    self._land(reference)
        else:
            time.sleep(timeout)
        now = time.monotonic()
        while self._due and self._due[0] <= now:
            heapq.heappop(self._due)
            self._hire()
        self._launch()
        self._require_a_worker(now)
        for reference, flight in list(self._flying.items()):
            if now > flight.deadline:
                del self._flying[reference]
                ray.kill(flight.actor)
                limit = self._deadline * flight.piece.share
                self._fault(flight.piece, Status.TIMEOUT, f"no result in {limit:g} s")

    def _require_a_worker(self, now: float) -> None:
        """Give up where nobody works and nobody can be expected to.

        Raises:
            ClusterError: That is so.
        """
        if self._flying or self._idle:
            self._worked = now
        elif self._failures and now > self._worked + _FAILING:
            raise ClusterError(
                f"no worker could be started, {self._failures} failed; {self.faults[-1]}. Nothing "
                "is lost. Mend what it says, for instance on the node that it names; `evosearch "
                "doctor --address HOST:PORT` checks all nodes"
            )
        elif now > self._worked + _PENDING:
            raise ClusterError(
                f"no worker is left, and none started in {_PENDING:g} s: the cluster has lost what "
                "they need, or it does not grow. Nothing is lost; resume on a cluster with room"
            )

    def _welcome(self, reference: Any) -> None:
        """Give work to a worker that has started; have another one soon where it failed to."""
        import ray
        from ray.exceptions import RayError

        actor = self._starting.pop(reference)
        try:
            ray.get(reference)
        except RayError as error:
            ray.kill(actor)
            if not self._failures and not self._flying and not self._idle:
                self._worked = time.monotonic()  # it was pending until now
            self._failures += 1
            self._note(f"a worker did not start: {_cause(error)}")
            pause = min(2.0 ** min(self._failures, 8) / 2, _LONGEST_PAUSE)
            heapq.heappush(self._due, time.monotonic() + pause)
        else:
            self._failures = 0
            self._idle.append(actor)
            self._launch()

    def _land(self, reference: Any) -> None:
        import ray
        from ray import exceptions

        flight = self._flying.pop(reference)
        try:
            result: Any = ray.get(reference)
        except exceptions.RayTaskError as error:
            if isinstance(error.cause, EvosearchError):
                raise error.cause from None  # what a person can mend, in its own words
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
        self._note(f"job {piece.number}, attempt {piece.attempt}: {message}")
        self._hire()
        self._queue.extendleft(reversed(self._pieces.fault(piece, status, message)))

    def _note(self, fault: str) -> None:
        self.faults.append(fault)
        self.on_fault(fault)

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

    def _capacity(self, workers: int | None, *, grows: bool) -> int:
        """Return how many workers to start; refuse what can never be had.

        Args:
            workers: How many were asked for.
            grows: Whether there may be more room later.
        """
        import ray

        room = 0
        for node in ray.nodes():
            if node["Alive"]:
                offers = node["Resources"]
                fits = [offers.get(k, 0.0) / need for k, need in self._need.items() if need]
                room += int(min(fits) + 1e-9)
        if room < (workers or 1) and not (grows and workers):
            have = ray.cluster_resources()
            raise ClusterError(
                f"{workers or 1} workers with 1 CPU and {self._need['GPU']:g} GPU each were asked "
                f"for; the cluster has {have.get('CPU', 0):g} CPUs and {have.get('GPU', 0):g} "
                f"GPUs, room for {room}. Ask for fewer workers, or for a smaller share of a GPU"
            )
        if workers and room < workers:
            self._note(f"there is room for {room} of {workers} workers; the others wait for more")
        return workers or room


class _Worker:
    """Lives in an actor's process and runs jobs there."""

    def __init__(
        self, perform: Callable[[AnyJob], Timed], prepare: Callable[[], None] | None
    ) -> None:
        import torch

        torch.set_num_threads(1)
        self._perform, self._prepare = perform, prepare

    def ready(self) -> None:
        """Return when the worker has started, and is prepared."""
        if self._prepare is not None:
            self._prepare()

    def run(self, job: AnyJob) -> Timed:
        """Run one job."""
        return self._perform(job)


def _cause(error: Exception) -> str:
    """Return what ended a worker before it began, in a sentence that names the node."""
    from ray.exceptions import RayTaskError

    if isinstance(error, RayTaskError):
        node = re.search(r"\bip=([\w.:]+)", str(error))
        return f"{type(error.cause).__name__}{f' on {node[1]}' if node else ''}: {error.cause}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    return f"{type(error).__name__}: {last}"[:600]
