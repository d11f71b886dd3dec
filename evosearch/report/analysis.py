"""What a run's records say beyond single scores: the front, lines of descent, mutations."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import numpy as np

from evosearch.runs.candidate import Candidate
from evosearch.runs.run import Run

__all__ = ["Scored", "Yield", "change", "front", "yields"]


@dataclass
class Yield:
    """What became of the children of one kind of mutation."""

    children: int = 0
    scored: int = 0
    """Those with a score."""
    better: int = 0
    """Those that rank above their first parent."""


@dataclass(frozen=True)
class Scored:
    """The candidates that have a score, as columns by id: there may be very many."""

    ids: np.ndarray
    statements: np.ndarray
    tiers: np.ndarray
    scores: np.ndarray
    errors: np.ndarray
    """NaN where there is none."""

    @classmethod
    def of(cls, run: Run) -> Scored:
        """Read them from a run."""
        names = ("id", "statements", "tier", "score", "score_se")
        table = run.history.candidates.table(names)
        table = table.filter(table["score"].is_valid())
        ids, statements, tiers, scores, errors = (table[name].to_numpy() for name in names)
        return cls(ids, statements, tiers, scores, errors.astype(np.float64))

    def leads(self) -> np.ndarray:
        """Return the position of the best so far, in the order of ids, at each of them."""
        leading, leader = list[int](), 0
        best: tuple[int, float] | None = None
        for at, rank in enumerate(zip(self.tiers.tolist(), self.scores.tolist(), strict=True)):
            if best is None or rank > best:
                best, leader = rank, at
            leading.append(leader)
        return np.array(leading, np.int64)


def front(run: Run, scored: Scored | None = None) -> list[Candidate]:
    """Return the candidates that nothing of their size or smaller beats, smallest first."""
    found = scored or Scored.of(run)
    order = np.lexsort((found.ids, -found.scores, -found.tiers, found.statements))
    best: list[int] = []
    for at in order[np.unique(found.statements[order], return_index=True)[1]].tolist():
        if not best or _rank(found, at) > _rank(found, best[-1]):
            best.append(at)
    return [run.candidate(int(found.ids[at])) for at in best]


def _rank(scored: Scored, at: int) -> tuple[int, float, int]:
    return int(scored.tiers[at]), float(scored.scores[at]), -int(scored.ids[at])


def change(run: Run, candidate: Candidate) -> str:
    """Return the lines by which a candidate's program differs from its first parent."""
    if not candidate.parents:
        return ""
    parent = run.candidate(candidate.parents[0])
    pair = (parent.program_text.splitlines(), candidate.program_text.splitlines())
    lines = [line for line in difflib.ndiff(*pair) if line[0] in "+-" and line[2:].strip()]
    return "\n".join(f"{line[0]} {line[2:].strip()}" for line in lines) or "nothing that matters"


def yields(run: Run) -> dict[str, Yield]:
    """Return what each kind of mutation gave, the most frequent first."""
    table = run.history.candidates.table(("id", "parents", "mutation", "tier", "score"))
    ids, tiers = table["id"].to_numpy(), table["tier"].to_numpy()
    scores = table["score"].to_numpy().astype(np.float64)  # null becomes NaN
    parents = table["parents"].combine_chunks()
    counts = parents.value_lengths().fill_null(0).to_numpy()
    (children,) = np.nonzero(counts)
    firsts = parents.flatten().to_numpy()[(np.cumsum(counts) - counts)[children]]
    elders = np.searchsorted(ids, firsts)
    scored = ~np.isnan(scores[children])
    # Of equals the older ranks higher, and a parent is older than its child.
    above = (tiers[children] > tiers[elders]) | (
        (tiers[children] == tiers[elders]) & (scores[children] > scores[elders])
    )
    better = scored & (np.isnan(scores[elders]) | above)
    mutations = table["mutation"].combine_chunks().dictionary_encode()
    names = [name.partition(" in ")[0] for name in mutations.dictionary.to_pylist()]
    kinds = {name: number for number, name in enumerate(dict.fromkeys(names))}
    kind = np.array([kinds[name] for name in names], np.int64)[
        mutations.indices.to_numpy()[children]
    ]
    totals = [np.bincount(kind[mask], minlength=len(kinds)) for mask in (kind >= 0, scored, better)]
    found = {
        name: Yield(*(int(total[number]) for total in totals))
        for name, number in kinds.items()
        if totals[0][number]
    }
    return dict(sorted(found.items(), key=lambda item: -item[1].children))
