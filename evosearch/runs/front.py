"""The front of a run: the best for what they take, and which of them to use.

Scores are compared among candidates that were evaluated on the same tasks, those of the last tier
that any came to; so a front never falls. A score over fewer tasks is another quantity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from evosearch.runs.candidate import Candidate
from evosearch.runs.history import History
from evosearch.runs.progress import score_text

if TYPE_CHECKING:
    from evosearch.runs.run import Run

__all__ = ["COSTS", "Recommendation", "Scored", "front", "recommend"]

COSTS: Final = {
    "statements": "statements that matter",
    "state_memory": "state entries for each entry of a matrix",
    "cost": "operations of an update for each entry of a matrix",
}
"""What a candidate takes, by its field, in words."""


@dataclass(frozen=True)
class Scored:
    """The candidates with a score, as columns by id, ascending: there may be very many."""

    ids: np.ndarray
    tiers: np.ndarray
    rounds: np.ndarray
    scores: np.ndarray
    errors: np.ndarray
    """NaN where there is none."""
    costs: dict[str, np.ndarray]
    """What they take, by the names in `COSTS`."""

    @classmethod
    def of(cls, history: History) -> Scored:
        """Read them from the sum of a run's records."""
        names = ("id", "tier", "rounds", "score", "score_se", *COSTS)
        table = history.candidates.table(names)
        table = table.filter(table["score"].is_valid())
        columns: dict[str, Any] = {name: table[name].to_numpy() for name in names}
        return cls(
            columns["id"],
            columns["tier"],
            columns["rounds"],
            columns["score"],
            columns["score_se"].astype(np.float64),
            {name: columns[name] for name in COSTS},
        )

    def __len__(self) -> int:
        return len(self.ids)

    def only(self, which: np.ndarray) -> Scored:
        """Return some of them, by a mask or by positions in order."""
        return Scored(
            self.ids[which],
            self.tiers[which],
            self.rounds[which],
            self.scores[which],
            self.errors[which],
            {name: column[which] for name, column in self.costs.items()},
        )

    def whole(self) -> Scored:
        """Return those that were evaluated on as many tasks as any."""
        return self.only(self.tiers == self.tiers.max()) if len(self) else self

    def front(self, by: str = "statements") -> np.ndarray:
        """Return the positions of those that none taking as much or less beats, cheapest first."""
        order = np.lexsort((self.ids, -self.scores, self.costs[by]))
        scores = self.scores[order]
        before = np.append(-np.inf, np.maximum.accumulate(scores)[:-1])
        return order[scores > before]

    def leads(self) -> np.ndarray:
        """Return the positions of those that were the best when they came."""
        before = np.append(-np.inf, np.maximum.accumulate(self.scores)[:-1])
        return np.flatnonzero(self.scores > before[: len(self)])


@dataclass(frozen=True)
class Recommendation:
    """Which candidate to use."""

    candidate: Candidate
    reason: str
    """Why, as the end of a sentence."""


def front(run: Run, by: str = "statements") -> list[Candidate]:
    """Return the candidates of all tasks that none taking as much or less beats, cheapest first."""
    scored = Scored.of(run.history).whole()
    return [run.candidate(int(scored.ids[at])) for at in scored.front(by)]


def recommend(best: Sequence[Candidate]) -> Recommendation | None:
    """Return the candidate to use: the smallest that cannot be told from the best.

    The best is, of the confirmed that are ahead of AdamW on each task beyond two standard errors,
    the one whose worst task is best; where there is none, the one with the best mean over tasks.
    Then follows the rule of one standard error: within it the best is luck as likely as not, and a
    smaller program is easier to understand and to trust.

    Args:
        best: The run's best, best first; the confirmed before those seen once.
    """
    if not best:
        return None
    first = best[0]
    if not first.confirmed or first.error is None:
        reason = "it has the best score, but nobody was confirmed on seeds of their own yet"
        return Recommendation(first, reason)
    rivals = [c for c in best if c.confirmed and c.tier == first.tier]
    if everywhere := [c for c in rivals if c.ahead_everywhere]:
        return _smallest_ahead(everywhere)
    assert first.score is not None
    near = [c for c in rivals if (c.score or 0) >= first.score - first.error]
    chosen = min(near, key=lambda c: (c.statements, -(c.score or 0)))
    nobody = "; none is ahead of AdamW on each task beyond two standard errors"
    if chosen.statements == first.statements:
        reason = "it is confirmed and best, and nothing smaller is within one standard error"
        return Recommendation(first, reason + nobody)
    told = f"#{first.id}, {score_text(first.score, first.error)}"
    reason = f"it is the smallest within one standard error of the best ({told})"
    return Recommendation(chosen, reason + nobody)


def _smallest_ahead(candidates: Sequence[Candidate]) -> Recommendation:
    """Return the smallest whose worst task is within one standard error of the best worst task."""
    first = max(candidates, key=lambda c: c.worst[1].mean)
    task, least = first.worst
    enough = least.mean - (least.se or 0.0)
    near = [c for c in candidates if c.worst[1].mean >= enough]
    chosen = min(near, key=lambda c: (c.statements, -c.worst[1].mean))
    where = "it is confirmed, ahead of AdamW on each task beyond two standard errors"
    if chosen.statements == first.statements:
        return Recommendation(first, f"{where}, and its worst task is the best of all such")
    told = f"#{first.id}, {score_text(least.mean, least.se)} on {task.partition('[')[0]}"
    return Recommendation(
        chosen,
        f"{where}, and the smallest whose worst task is within one standard error of the best "
        f"worst task of all such ({told})",
    )
