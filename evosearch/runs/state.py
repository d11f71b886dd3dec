"""What a run's records add up to: its candidates and counts, without evaluating or proposing.

The search itself lives by `evosearch.evolution.population`; this is the reader's view of the same
history. It takes in record after record, from a journal or while a search writes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from evosearch.errors import UsageError
from evosearch.runs.candidate import Candidate
from evosearch.runs.candidates import Roster
from evosearch.storage.schema import CARRIERS

__all__ = ["FINISHED", "Ledger"]

FINISHED: Final = "finished"
"""The text of the note that ends the journal of a run whose budget is spent."""


class Ledger:
    """The sum of a run's records so far."""

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()) -> None:
        self.candidates = Roster()
        """By id."""
        self.references: dict[str, Mapping[str, Any]] = {}
        """The tuned AdamW's record on each task."""
        self.packs = 0
        """Committed packs, re-evaluations included."""
        self.confirmations = 0
        """Re-evaluations of single candidates."""
        self.proposals = 0
        """Children made."""
        self.cache_hits = 0
        """Children that computed what was known already, so that nothing was evaluated."""
        self.faults: list[str] = []
        """What went wrong with the machinery, in sentences."""
        self.extended: int | None = None
        """The budget that the run was extended to; None: it has that of its configuration."""
        self.finished = False
        self.worker_seconds = 0.0
        """Time that workers spent on packs and baselines."""
        for record in records:
            self.take(record)

    def take(self, record: Mapping[str, Any]) -> None:
        """Take in the next record."""
        kind = record["kind"]
        if kind in CARRIERS:
            self._take_pack(record)
        elif kind == "reference":
            self.references[record["task"]] = record
        elif kind == "fault":
            self.faults.append(record["message"])
        elif kind == "extended":
            self.extended, self.finished = record["evaluations"], False
        elif kind == "note":
            self.finished |= record.get("text") == FINISHED
        self.worker_seconds += record.get("info", {}).get("seconds", 0.0)

    def _take_pack(self, record: Mapping[str, Any]) -> None:
        self.packs += 1
        self.proposals += record["proposals"]
        self.cache_hits += record["cache_hits"]
        for row in record["candidates"]:
            if record["kind"] == "pack":
                self.candidates.put(Candidate.of(row))
            else:
                self.confirmations += 1
                self.candidates.put(self.candidates[row["id"]].confirmed(row))

    @property
    def hit_rate(self) -> float | None:
        """The share of proposals that computed what was known already; None before the first."""
        return self.cache_hits / self.proposals if self.proposals else None

    def top(self, n: int) -> list[Candidate]:
        """Return the best candidates, best first."""
        return self.candidates.top(n)

    def best(self) -> Candidate | None:
        """Return the best candidate, if any has a score."""
        return next(iter(self.top(1)), None)

    def candidate(self, id_: int) -> Candidate:
        """Return a candidate.

        Raises:
            UsageError: There is none of that id.
        """
        if id_ not in self.candidates:
            known = f"ids go from 0 to {max(self.candidates)}" if self.candidates else "none yet"
            raise UsageError(
                f"the run has no candidate {id_}; {known}; `evosearch top` lists the best"
            )
        return self.candidates[id_]

    def ancestors(self, id_: int) -> list[Candidate]:
        """Return a candidate and all that it descends from, itself first, then younger to older.

        Raises:
            UsageError: There is none of that id.
        """
        found = {self.candidate(id_).id}
        frontier = [id_]
        while frontier:
            fresh = set(self.candidates[frontier.pop()].parents) - found
            found |= fresh
            frontier += fresh
        return [self.candidates[i] for i in sorted(found, reverse=True)]

    def statuses(self) -> dict[str, int]:
        """Return how many candidates have each status, most frequent first."""
        counts = [(status, count) for status, count in self.candidates.statuses.items() if count]
        return dict(sorted(counts, key=lambda item: (-item[1], item[0])))
