"""When a search stops before its budget is spent: after a time, so many candidates, or a score."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from evosearch.runs.history import History

__all__ = ["Limits", "Reached"]

_LEADERS = 20
"""How many of the best are looked at for the score."""


class Reached(Exception):
    """Ends a search at a limit; its text says at which."""


@dataclass(frozen=True)
class Limits:
    """What a search stops at; None where there is no limit of that kind."""

    minutes: float | None = None
    evaluations: int | None = None
    score: float | None = None

    def observing(
        self, observe: Callable[[History], None], rounds: int
    ) -> Callable[[History], None]:
        """Return an observer that shows the history to another one and ends the search at a limit.

        Args:
            observe: The other one.
            rounds: Evaluations after which a score is confirmed.
        """
        end = None if self.minutes is None else time.monotonic() + 60 * self.minutes
        confirmations = -1

        def watch(history: History) -> None:
            nonlocal confirmations
            observe(history)
            if end is not None and time.monotonic() > end:
                raise Reached("The time limit is reached.")
            if self.evaluations is not None and len(history.candidates) >= self.evaluations:
                raise Reached(f"{len(history.candidates):,} candidates are evaluated.")
            if self.score is not None and history.confirmations != confirmations:
                confirmations = history.confirmations
                for best in history.top(_LEADERS):
                    if best.rounds >= rounds and (best.score or 0.0) >= self.score:
                        raise Reached(f"Candidate {best.id} has {best.score:+.3f}, confirmed.")

        return watch
