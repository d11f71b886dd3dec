"""A run's candidates by id, in order of rank; what ranks them is in arrays.

Those that the run's parts know stay there and are read when they are asked for; the others are in
a list of which most is in a file.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, ValuesView
from typing import TYPE_CHECKING, Any, Final

from evosearch.runs.candidate import Candidate
from evosearch.storage.spilled_list import SpilledList

if TYPE_CHECKING:
    from evosearch.storage.sealed import SealedCandidates

__all__ = ["CandidateMap"]

_TOGETHER: Final = 1024
"""Candidates that are read at once when all are gone through."""


class CandidateMap(Mapping[int, Candidate]):
    """Candidates by id, ascending. Each look-up may give a new object.

    Args:
        sealed: Those that the run's parts know.
    """

    def __init__(self, sealed: SealedCandidates | None = None) -> None:
        self.statuses: Counter[str] = Counter()
        """How many candidates have each status."""
        self._sealed = sealed
        self._spilled: SpilledList[Candidate] = SpilledList()
        self._ids = array("q")
        self._places = array("q")
        """Where in the list each id's candidate is; -1 - k: among the sealed ones, as number k."""
        self._tiers = array("q")
        self._scores = array("d")
        """NaN where there is no score."""
        self._rounds = array("q")
        if sealed is not None:
            self._begin(sealed)

    def _begin(self, sealed: SealedCandidates) -> None:
        import numpy as np

        known = sealed.table(("status", "tier", "score", "rounds"))
        self._ids = array("q", sealed.ids.tobytes())
        self._places = array("q", (-1 - np.arange(len(sealed), dtype=np.int64)).tobytes())
        self._tiers = array("q", known["tier"].to_numpy().astype(np.int64).tobytes())
        scores = known["score"].to_numpy().astype(np.float64)  # null becomes NaN
        self._scores = array("d", scores.tobytes())
        self._rounds = array("q", known["rounds"].to_numpy().astype(np.int64).tobytes())
        counts = known["status"].value_counts().to_pylist()
        self.statuses.update({count["values"]: count["counts"] for count in counts})

    def put(self, candidate: Candidate) -> None:
        """Add a candidate, or replace the one of that id."""
        score = math.nan if candidate.score is None else candidate.score
        at = self._find(candidate.id)
        if at is None:
            at = bisect_left(self._ids, candidate.id)
            self._ids.insert(at, candidate.id)
            self._places.insert(at, len(self._spilled))
            self._tiers.insert(at, candidate.tier)
            self._scores.insert(at, score)
            self._rounds.insert(at, candidate.rounds)
            self._spilled.append(candidate)
        else:
            self.statuses[self._take([at])[0].status] -= 1
            self._tiers[at], self._scores[at] = candidate.tier, score
            self._rounds[at] = candidate.rounds
            if self._places[at] < 0:
                self._places[at] = len(self._spilled)
                self._spilled.append(candidate)
            else:
                self._spilled[self._places[at]] = candidate
        self.statuses[candidate.status] += 1

    def top(self, n: int, confirmed: bool | None = None) -> list[Candidate]:
        """Return the best of those that have a score, best first; of equals the first counts.

        A score of a single evaluation is partly luck, so those that were evaluated again come
        before those that were not.

        Args:
            n: How many.
            confirmed: Only those that were evaluated again, or only those that were not.
        """
        import numpy as np

        scores, tiers = np.array(self._scores), np.array(self._tiers)
        again = np.array(self._rounds) > 1
        found = ~np.isnan(scores)
        if confirmed is not None:
            found &= again == confirmed
        (scored,) = np.nonzero(found)
        if n == 1 and len(scored):  # asked for often, and the others need no order
            scored = scored[again[scored] == again[scored].max()]
            scored = scored[tiers[scored] == tiers[scored].max()]
            best = scored[[scores[scored].argmax()]]
        else:
            order = np.lexsort((-scores[scored], -tiers[scored], ~again[scored]))
            best = scored[order][:n]
        return self._take(best.tolist())

    def table(self, columns: Sequence[str]) -> Any:
        """Return a `pyarrow.Table` of all candidates, by id.

        Args:
            columns: Of those in `evosearch.storage.parquet.TABLES`, fields of a candidate and its
                `score_se`; not "program" and "genome".
        """
        from evosearch.storage.sealed import table_of

        fields = {"score_se": "error"}
        fresh = [
            {name: getattr(candidate, fields.get(name, name)) for name in columns}
            for candidate in self._spilled
        ]
        return table_of(columns, fresh, self._sealed, self._places)

    def _take(self, at: Sequence[int]) -> list[Candidate]:
        """Return the candidates in some positions; those of the parts are read together."""
        places = [self._places[i] for i in at]
        sealed = [-1 - place for place in places if place < 0]
        rows = iter(self._sealed.rows(sealed) if self._sealed and sealed else ())
        return [
            self._spilled[place] if place >= 0 else Candidate.of(next(rows)) for place in places
        ]

    def __getitem__(self, id_: int) -> Candidate:
        at = self._find(id_)
        if at is None:
            raise KeyError(id_)
        return self._take([at])[0]

    def values(self) -> ValuesView[Candidate]:
        """Return all candidates; they are read some at a time."""
        return _Values(self)

    def chunks(self) -> Iterator[list[Candidate]]:
        """Yield all candidates, some at a time."""
        for start in range(0, len(self), _TOGETHER):
            yield self._take(range(start, min(start + _TOGETHER, len(self))))

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


class _Values(ValuesView[Candidate]):
    """The candidates without their ids."""

    _mapping: CandidateMap

    def __iter__(self) -> Iterator[Candidate]:
        for chunk in self._mapping.chunks():
            yield from chunk
