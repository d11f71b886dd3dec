"""What a run's records say beyond single scores: what each step changed, and what edits gave."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import numpy as np

from evosearch.runs.candidate import Candidate
from evosearch.runs.run import Run

__all__ = ["Yield", "change", "yields"]


@dataclass
class Yield:
    """What became of the children of one kind of mutation."""

    children: int = 0
    scored: int = 0
    """Those with a score."""
    better: int = 0
    """Those that rank above their first parent."""


def change(run: Run, candidate: Candidate) -> str:
    """Return the lines by which a candidate's program differs from its first parent."""
    if not candidate.parents:
        return ""
    parent = run.candidate(candidate.parents[0])
    pair = (parent.program_text.splitlines(), candidate.program_text.splitlines())
    lines = [line for line in difflib.ndiff(*pair) if line[0] in "+-" and line[2:].strip()]
    return "\n".join(f"{line[0]} {line[2:].strip()}" for line in lines) or "nothing that matters"


def yields(run: Run) -> dict[str, Yield]:
    """Return what each edit gave, the most frequent first.

    A child that took several edits counts for each of them.
    """
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
    strings = mutations.dictionary.to_pylist()
    kind = mutations.indices.to_numpy()[children]
    masks = (np.ones(len(kind), bool), scored, better)
    totals = [np.bincount(kind[mask], minlength=len(strings)) for mask in masks]
    found: dict[str, Yield] = {}
    for number, edits in enumerate(strings):
        if totals[0][number]:
            for name in dict.fromkeys(edit.partition(" in ")[0] for edit in edits.split(", ")):
                here = found.setdefault(name, Yield())
                here.children += int(totals[0][number])
                here.scored += int(totals[1][number])
                here.better += int(totals[2][number])
    return dict(sorted(found.items(), key=lambda item: -item[1].children))
