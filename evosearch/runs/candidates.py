"""A run's candidates by id, in order of rank: a shelf of them, and what ranks them in arrays."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping

from evosearch.runs.candidate import Candidate
from evosearch.storage.spilled_list import Shelf

__all__ = ["Roster"]


class Roster(Mapping[int, Candidate]):
    """Candidates by id, ascending. Each look-up may give a new object."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        """How many candidates have each status."""
        self._shelf: Shelf[Candidate] = Shelf()
        self._ids = array("q")
        self._places = array("q")
        """Where on the shelf each id's candidate is."""
        self._tiers = array("q")
        self._scores = array("d")
        """NaN where there is no score."""

    def put(self, candidate: Candidate) -> None:
        """Add a candidate, or replace the one of that id."""
        score = math.nan if candidate.score is None else candidate.score
        at = self._find(candidate.id)
        if at is None:
            at = bisect_left(self._ids, candidate.id)
            self._ids.insert(at, candidate.id)
            self._places.insert(at, len(self._shelf))
            self._tiers.insert(at, candidate.tier)
            self._scores.insert(at, score)
            self._shelf.append(candidate)
        else:
            self.statuses[self._shelf[self._places[at]].status] -= 1
            self._tiers[at], self._scores[at] = candidate.tier, score
            self._shelf[self._places[at]] = candidate
        self.statuses[candidate.status] += 1

    def top(self, n: int) -> list[Candidate]:
        """Return the best of those that have a score, best first; of equals the first counts."""
        import numpy as np

        scores, tiers = np.array(self._scores), np.array(self._tiers)
        (scored,) = np.nonzero(~np.isnan(scores))
        if n == 1 and len(scored):  # asked for often, and the others need no order
            scored = scored[tiers[scored] == tiers[scored].max()]
            best = [scored[scores[scored].argmax()]]
        else:
            best = scored[np.lexsort((-scores[scored], -tiers[scored]))][:n]
        return [self._shelf[self._places[at]] for at in best]

    def __getitem__(self, id_: int) -> Candidate:
        at = self._find(id_)
        if at is None:
            raise KeyError(id_)
        return self._shelf[self._places[at]]

    def __contains__(self, id_: object) -> bool:
        return isinstance(id_, int) and self._find(id_) is not None

    def __iter__(self) -> Iterator[int]:
        return iter(list(self._ids))

    def __len__(self) -> int:
        return len(self._ids)

    def _find(self, id_: int) -> int | None:
        ids = self._ids
        if 0 <= id_ < len(ids) and ids[id_] == id_:  # as it is unless some are missing
            return id_
        at = bisect_left(ids, id_)
        return at if at < len(ids) and ids[at] == id_ else None
