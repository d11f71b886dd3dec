"""What a run's records add up to: its candidates and counts, without evaluating or proposing.

The search itself lives by `evosearch.evolution.population`; this is the reader's view of the same
history. It takes in record after record, from a journal or while a search writes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any, Self

from evosearch.errors import CorruptArchive, UsageError
from evosearch.runs.candidate import Candidate
from evosearch.runs.candidates import CandidateMap
from evosearch.runs.recorded_baseline import RecordedBaseline
from evosearch.storage.journal import scan
from evosearch.storage.schema import CARRIERS, FINISHED, Counts, require_layout

__all__ = ["FINISHED", "History"]


class History:
    """The sum of a run's records so far.

    Attributes:
        candidates: By id.
        baselines: AdamW on each task.
        counts: What the records add up to besides.
    """

    def __init__(
        self,
        records: Iterable[Mapping[str, Any]] = (),
        candidates: CandidateMap | None = None,
        counts: Counts | None = None,
    ) -> None:
        self.candidates = candidates or CandidateMap()
        self.baselines: dict[str, RecordedBaseline] = {}
        self.counts = counts or Counts()
        for record in records:
            self.take(record)

    @classmethod
    def open(cls, directory: Path, until: int | None = None) -> Self:
        """Read the sum of a run's records: of its parts, and of the journal after them.

        Args:
            directory: The run directory.
            until: Leave out the records after this one.

        Raises:
            RunNotFound: There is no run.
            NewerFormat: It was written by a newer version.
            CorruptArchive: Its journal is damaged.
        """
        if not any((directory / "candidates").glob("*.parquet")):
            history, records = cls(), scan(directory)
        else:
            from evosearch.storage.seal import sealed
            from evosearch.storage.sealed import SealedCandidates

            ranges, records = sealed(directory, until)
            known = SealedCandidates(ranges) if ranges else None
            history = cls((), CandidateMap(known), known.counts if known is not None else None)
            beginning = takewhile(lambda record: record.kind not in CARRIERS, scan(directory))
            for record in beginning if known is not None else ():
                if record.kind == "reference":
                    require_layout(record)
                    history._take_baseline(record.body)
        for record in records:
            if until is not None and record.sequence > until:
                break
            require_layout(record)
            history.take(record.body)
        return history

    def take(self, record: Mapping[str, Any]) -> None:
        """Take in the next record."""
        self.counts.take(record)
        if record["kind"] in CARRIERS:
            self._take_pack(record)
        elif record["kind"] == "reference":
            self._take_baseline(record)

    def _take_baseline(self, record: Mapping[str, Any]) -> None:
        baseline = RecordedBaseline.of(record)
        self.baselines[baseline.task] = baseline

    def _take_pack(self, record: Mapping[str, Any]) -> None:
        for row in record["candidates"]:
            if record["kind"] == "pack":
                self.candidates.put(Candidate.of(row))
            elif row["id"] in self.candidates:
                self.candidates.put(self.candidates[row["id"]].reevaluated(row))
            else:
                raise CorruptArchive(
                    f"pack {record['pack']} of the journal confirms candidate {row['id']}, which "
                    "no record before it introduces. The version that wrote it is at fault."
                )

    @property
    def packs(self) -> int:
        """Committed packs, re-evaluations included."""
        return self.counts.packs

    @property
    def confirmations(self) -> int:
        """Re-evaluations of single candidates."""
        return self.counts.confirmations

    @property
    def proposals(self) -> int:
        """Children made."""
        return self.counts.proposals

    @property
    def cache_hits(self) -> int:
        """Children that computed what was known already, so that nothing was evaluated."""
        return self.counts.cache_hits

    @property
    def worker_seconds(self) -> float:
        """Time that workers spent on packs and baselines."""
        return self.counts.seconds

    @property
    def faults(self) -> list[str]:
        """What went wrong with the machinery, in sentences."""
        return self.counts.faults

    @property
    def extended(self) -> int | None:
        """The budget that the run was extended to; None: it has that of its configuration."""
        return self.counts.extended

    @property
    def finished(self) -> bool:
        """Whether the budget is spent."""
        return bool(self.counts.finished)

    @property
    def hit_rate(self) -> float | None:
        """The share of proposals that computed what was known already; None before the first."""
        return self.cache_hits / self.proposals if self.proposals else None

    def top(self, n: int, confirmed: bool | None = None) -> list[Candidate]:
        """Return the best candidates, best first (`CandidateMap.top`)."""
        return self.candidates.top(n, confirmed)

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
