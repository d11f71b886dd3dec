"""A look at a run, again and again while another process writes it; each reads what is new."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from evosearch.evolution.fitness import Fitness
from evosearch.evolution.ranking import Ranking
from evosearch.runs.candidate import Candidate
from evosearch.runs.history import History
from evosearch.runs.run import Run
from evosearch.storage.reader import SegmentReader

__all__ = ["Sight", "Watch"]

_TOP: Final = 5
_LOOKS: Final = 60
"""How many of the last looks the rate is measured over."""


@dataclass(frozen=True)
class Sight:
    """A run as one look shows it."""

    state: str
    """Whether it is "running", "finished" or "stopped"."""
    history: History
    """The sum of its records; it goes on to change with the next look."""
    budget: int
    """Candidates that it evaluates in all."""
    rate: float | None
    """Candidates a second lately; None until there were some."""
    top: tuple[Candidate, ...]
    """The best five, best first."""
    front: tuple[Candidate, ...]
    """Of those on all tasks, whom none of their size or less beats, best and largest first."""

    @property
    def left(self) -> float | None:
        """Seconds until the budget is evaluated, as the rate has it; None if nobody can say."""
        if not self.rate or self.state != "running":
            return None
        return max(0, self.budget - len(self.history.candidates)) / self.rate

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "state": self.state,
            "evaluations": len(self.history.candidates),
            "budget": self.budget,
            "confirmations": self.history.confirmations,
            "proposals": self.history.proposals,
            "cache_hits": self.history.cache_hits,
            "faults": len(self.history.faults),
            "candidates_per_second": self.rate,
            "seconds_left": self.left,
            "top": [_row(candidate) for candidate in self.top],
            "front": [_row(candidate) for candidate in self.front],
        }


class Watch:
    """Follows a run; a look costs what the records since the last one cost.

    Args:
        directory: The run directory.

    Raises:
        RunNotFound: There is no run.
        NewerFormat: It was written by a newer version.
        CorruptArchive: Its journal is damaged.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._reader = SegmentReader(Path(directory))
        manifest = next(iter(self._reader)).body
        self.run = Run(Path(directory), manifest, History())
        self._ranking = Ranking()
        self._confirmed, self._once = Ranking(), Ranking()
        """The same ids, by whether they were evaluated again: in `top` these come first."""
        self._counts: deque[tuple[float, int]] = deque(maxlen=_LOOKS)

    def look(self, now: float) -> Sight:
        """Take in what was appended since the last look.

        Args:
            now: Seconds on any clock that does not go back.

        Raises:
            NewerFormat, CorruptArchive: As above.
        """
        running = self.run.writer is not None  # asked first: the last records precede its end
        history = self.run.history
        for record in self._reader:
            history.take(record.body)
            for row in record.body.get("candidates", ()):
                self._rank(row)
        self._counts.append((now, len(history.candidates)))
        (then, before), (_, done) = self._counts[0], self._counts[-1]
        return Sight(
            state="finished" if history.finished else "running" if running else "stopped",
            history=history,
            budget=self.run.budget,
            rate=(done - before) / (now - then) if done > before and now > then else None,
            top=tuple(history.candidates[i] for i in self._top()),
            front=tuple(_whole([history.candidates[i] for i in self._ranking.ladder()])),
        )

    def _top(self) -> list[int]:
        """Return the ids of the best, in the order of `CandidateMap.top`."""
        confirmed = self._confirmed.best(_TOP)
        return [*confirmed, *self._once.best(_TOP - len(confirmed))]

    def _rank(self, row: Mapping[str, Any]) -> None:
        id_, score = row["id"], row["score"]
        for ranking in (self._ranking, self._confirmed, self._once):
            ranking.drop(id_)
        if score is None:
            return
        fitness = Fitness(row["tier"], score, row["score_se"], row["rounds"])
        size = self.run.history.candidates[id_].statements
        for ranking in (self._ranking, self._confirmed if fitness.rounds > 1 else self._once):
            ranking.put(id_, fitness, size, 0)


def _whole(ladder: list[Candidate]) -> list[Candidate]:
    """Return those that were evaluated on as many tasks as the best; scores of fewer are others."""
    return [candidate for candidate in ladder if candidate.tier == ladder[0].tier]


def _row(candidate: Candidate) -> dict[str, Any]:
    return {
        "id": candidate.id,
        "score": candidate.score,
        "score_se": candidate.error,
        "rounds": candidate.rounds,
        "statements": candidate.statements,
        "states": candidate.states,
    }
