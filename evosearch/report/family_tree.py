"""The family tree of a run: who descends from whom, over the candidates evaluated.

Of a large run those are drawn that the front, the best and the winner descend from, and besides
them the ones with the most descendants, so that whoever is drawn has a drawn parent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from evosearch.runs.candidate import Candidate
from evosearch.runs.history import History
from evosearch.runs.progress import score_text
from evosearch.runs.svg import ChartAxis, ChartPoint, tree

__all__ = ["FamilyTree", "family_tree_chart"]

MANY: Final = 1500
"""Candidates that a tree draws all of."""


@dataclass(frozen=True)
class FamilyTree:
    """Candidates and their first parents, as columns by id, ascending."""

    ids: np.ndarray
    parents: np.ndarray
    """Positions of the first parents, -1 for none; a parent precedes its children."""
    scores: np.ndarray
    """NaN where there is none."""
    errors: np.ndarray
    tiers: np.ndarray
    mutations: list[str]
    fewest: int = 0
    """Descendants that everybody has who is not there for a descendant of note."""

    @classmethod
    def of(cls, history: History, keep: Iterable[int], many: int = MANY) -> FamilyTree:
        """Read it from the sum of a run's records.

        Args:
            history: The sum.
            keep: Candidates that are never left out.
            many: How many candidates at most, but for those that are kept and their ancestors.
        """
        names = ("id", "parents", "score", "score_se", "tier", "mutation")
        table = history.candidates.table(names)
        ids = table["id"].to_numpy()
        lists = table["parents"].combine_chunks()
        counts = lists.value_lengths().fill_null(0).to_numpy()
        parents = np.full(len(ids), -1)
        (children,) = np.nonzero(counts)
        firsts = lists.flatten().to_numpy()[(np.cumsum(counts) - counts)[children]]
        parents[children] = np.searchsorted(ids, firsts)
        kept, fewest = _kept(ids, parents, keep, many)
        place = np.cumsum(kept) - 1
        above = parents[kept]
        scores, errors = (
            table[name].to_numpy().astype(np.float64)[kept] for name in ("score", "score_se")
        )
        return cls(
            ids[kept],
            np.where(above < 0, -1, place[above]),
            scores,
            errors,
            table["tier"].to_numpy()[kept],
            table["mutation"].filter(kept).to_pylist(),
            fewest,
        )

    def rows(self) -> np.ndarray:
        """Return each one's row: leaves apart, all others in the row of their largest branch."""
        sizes = _descendants(self.parents)
        children: list[list[int]] = [[] for _ in self.ids]
        roots: list[int] = []
        for at, parent in enumerate(self.parents.tolist()):
            (children[parent] if parent >= 0 else roots).append(at)
        rows = np.zeros(len(self.ids))
        free, waiting = 0, roots[::-1]
        while waiting:
            at = waiting.pop()
            below = sorted(children[at], key=lambda child: sizes[child])
            if below:
                waiting.extend(below)  # the largest branch first: it goes on in this row
            rows[at] = free
            if not below:
                free += 1
        return rows

    def __len__(self) -> int:
        return len(self.ids)


def _kept(
    ids: np.ndarray, parents: np.ndarray, keep: Iterable[int], many: int
) -> tuple[np.ndarray, int]:
    """Return who is drawn, and the least number of descendants of those without other merit."""
    if len(ids) <= many:
        return np.ones(len(ids), bool), 0
    kept = np.zeros(len(ids), bool)
    for place in np.searchsorted(ids, sorted(set(keep))).tolist():
        at = place
        while at >= 0 and not kept[at]:
            kept[at] = True
            at = int(parents[at])
    # A parent has more descendants than its child, so whoever has as many has a drawn parent.
    sizes = _descendants(parents)
    room = max(many - int(kept.sum()), 0)
    others = np.sort(sizes[~kept])[::-1]
    fewest = int(others[room]) + 1 if len(others) > room else 0
    return kept | (sizes >= fewest), fewest


def _descendants(parents: np.ndarray) -> np.ndarray:
    """Return how many descend from each, as first parents have it."""
    counts = [0] * len(parents)
    above = parents.tolist()
    for at in range(len(above) - 1, -1, -1):
        if above[at] >= 0:
            counts[above[at]] += 1 + counts[at]
    return np.array(counts, np.int64)


def family_tree_chart(family: FamilyTree, winner: Candidate, front: Iterable[int]) -> str:
    """Return the tree as an SVG element; the winner's descent stands out.

    Args:
        family: The tree.
        winner: The one that stands out.
        front: Candidates that nobody beats who takes as little.
    """
    marked = set(front)
    last = int(family.tiers.max()) if len(family) else 0
    points: list[ChartPoint] = []
    for at, (id_, row) in enumerate(zip(family.ids.tolist(), family.rows().tolist(), strict=True)):
        score, error = float(family.scores[at]), float(family.errors[at])
        known = None if np.isnan(score) else score
        title = f"#{id_} {family.mutations[at]}\n"
        title += score_text(known, None if np.isnan(error) else error)
        title += "" if family.tiers[at] == last else ", on fewer tasks"
        whole = known is not None and family.tiers[at] == last
        kind = "above" if whole and score > 0 else "point"
        kind = "best" if id_ == winner.id else "front" if id_ in marked else kind
        label = f"#{id_}" if kind in ("best", "front") else ""
        points.append(ChartPoint(float(id_), row, title, None, kind, label, id_))
    descent = set[int]()
    (at,) = np.flatnonzero(family.ids == winner.id)[:1] if len(family) else [-1]
    while at >= 0:
        descent.add(int(at))
        at = family.parents[at]
    return tree(
        ChartAxis("candidates evaluated", low=0.0), points, family.parents.tolist(), descent
    )
