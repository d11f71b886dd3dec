"""Paired scores that were computed before: a folder with a file for each comparison.

A measured simplification that was interrupted reads what it has done, and goes on from there to the
same result. A file is found by everything that determines its content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evosearch.config.preflight import Imprint
from evosearch.runs.manifest import revision, versions
from evosearch.storage.atomic_write import write_atomic

__all__ = ["KeptScores", "PairedScores"]


@dataclass(frozen=True)
class PairedScores:
    """A program's scores against an anchor."""

    scores: Mapping[str, tuple[float, ...]]
    """Task to the score of each seed."""
    trainings: int
    seconds: float

    def joined(self, more: PairedScores) -> PairedScores:
        """Return both together; the seeds must be different ones."""
        tasks = [task for task in more.scores if not self.scores or task in self.scores]
        scores = {task: (*self.scores.get(task, ()), *more.scores[task]) for task in tasks}
        trainings, seconds = self.trainings + more.trainings, self.seconds + more.seconds
        return PairedScores(scores, trainings, seconds)


@dataclass(frozen=True)
class KeptScores:
    """A folder of comparisons; made when the first one is kept."""

    folder: Path
    imprints: Mapping[str, Imprint]
    """Of the tasks, by their keys: other data is another comparison."""

    def read(self, key: Mapping[str, Any]) -> list[PairedScores] | None:
        """Return the scores of a comparison, if they are there."""
        try:
            rows = json.loads(self._place(key).read_text(encoding="utf-8"))
            return [
                PairedScores({t: tuple(s) for t, s in scores.items()}, trainings, seconds)
                for scores, trainings, seconds in rows
            ]
        except (OSError, ValueError, TypeError, AttributeError):  # not there, or another version's
            return None

    def write(self, key: Mapping[str, Any], found: Sequence[PairedScores]) -> None:
        """Keep the scores of a comparison."""
        rows = [(dict(f.scores), f.trainings, f.seconds) for f in found]
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomic(self._place(key), json.dumps(rows) + "\n")

    def _place(self, key: Mapping[str, Any]) -> Path:
        """Return the file of a comparison."""
        imprints = {task: dict(imprint) for task, imprint in self.imprints.items()}
        whole = {**key, "imprints": imprints, "versions": versions(), "revision": revision()}
        text = json.dumps(whole, sort_keys=True, default=str)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"
