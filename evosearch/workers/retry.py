"""Jobs in pieces: what is still to be computed when workers are lost, and who is to blame.

A job goes out whole. When its worker is lost it is taken apart, because one candidate of a pack may
be what killed the worker. A piece that cannot be taken apart is tried once more elsewhere; then its
candidate is recorded with a status. The others' results are not touched, and the parts are put
together again in their order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from evosearch.errors import ClusterError
from evosearch.training.baseline import Baseline
from evosearch.training.job import Job, Outcome, Status
from evosearch.training.score import BOUND
from evosearch.training.tuner import Tuned
from evosearch.workers.executor import AnyJob, Timed

__all__ = ["Piece", "Pieces"]

_ATTEMPTS: Final = 2
_SLACK: Final = 2.0
"""How many times its equal share of a pack's time one candidate alone may take."""


@dataclass(frozen=True)
class Piece:
    """A job or, after a fault, one candidate of it."""

    number: int
    first: int
    """Position of its first candidate in the job."""
    job: AnyJob
    attempt: int = 1
    share: float = 1.0
    """What it may take of a pack's deadline."""


@dataclass
class _Open:
    """A job that is not complete."""

    size: int
    outcomes: dict[int, Outcome]
    whole: Baseline | Tuned | None = None
    """The result of a job that has no candidates."""
    seconds: float = 0.0


class Pieces:
    """The jobs that were submitted and not yet taken."""

    def __init__(self) -> None:
        self._open: dict[int, _Open] = {}

    def open(self, number: int, job: AnyJob) -> Piece:
        """Begin a job; return the piece to compute."""
        self._open[number] = _Open(len(job.candidates) if isinstance(job, Job) else 1, {})
        return Piece(number, 0, job)

    def complete(self, number: int) -> bool:
        """Whether all of a job is known."""
        job = self._open[number]
        return job.whole is not None or len(job.outcomes) == job.size

    def take(self, number: int) -> Timed:
        """Return a complete job's result and the seconds spent on it, and forget it."""
        job = self._open.pop(number)
        if job.whole is not None:
            return job.whole, job.seconds
        return tuple(job.outcomes[i] for i in range(job.size)), job.seconds

    def land(self, piece: Piece, result: Timed) -> None:
        """Take in what a worker computed."""
        value, seconds = result
        job = self._open[piece.number]
        job.seconds += seconds
        if isinstance(value, Baseline | Tuned):
            job.whole = value
        else:
            job.outcomes |= dict(enumerate(value, start=piece.first))

    def fault(self, piece: Piece, status: Status, message: str) -> list[Piece]:
        """Return what to compute next, in this order, after a piece's worker was lost.

        Raises:
            ClusterError: What tunes an optimizer was lost twice; nothing can be said without it.
        """
        job = piece.job
        if isinstance(job, Job) and len(job.candidates) > 1:
            share = min(1.0, _SLACK / len(job.candidates))
            return [
                Piece(piece.number, piece.first + i, replace(job, candidates=(text,)), share=share)
                for i, text in enumerate(job.candidates)
            ]
        if piece.attempt < _ATTEMPTS:
            return [replace(piece, attempt=piece.attempt + 1)]
        if not isinstance(job, Job):
            raise ClusterError(
                f"an optimizer could not be tuned on task {job.task}: {message}, twice. Give a "
                "pack more time (`--set budget.seconds_per_pack=...`) or more memory"
            )
        outcome = Outcome(status, message, 0, -BOUND, None, ())
        self._open[piece.number].outcomes[piece.first] = outcome
        return []
