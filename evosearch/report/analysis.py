"""What a run's records say beyond single scores: the front, lines of descent, mutations."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from evosearch.runs.candidate import Candidate
from evosearch.runs.run import Run

__all__ = ["Yield", "change", "front", "yields"]


@dataclass
class Yield:
    """What became of the children of one kind of mutation."""

    children: int = 0
    scored: int = 0
    """Those with a score."""
    better: int = 0
    """Those that rank above their first parent."""


def front(run: Run) -> list[Candidate]:
    """Return the candidates that nothing of their size or smaller beats, smallest first."""
    scored = [c for c in run.ledger.candidates.values() if c.score is not None]
    found: list[Candidate] = []
    for candidate in sorted(scored, key=lambda c: (c.statements, *(-part for part in c.rank))):
        if not found or candidate.rank > found[-1].rank:
            found.append(candidate)
    return found


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
    found: dict[str, Yield] = {}
    for child in run.ledger.candidates.values():
        if child.parents:
            parent = run.candidate(child.parents[0])
            kind = found.setdefault(child.mutation.partition(" in ")[0], Yield())
            kind.children += 1
            if child.score is not None:
                kind.scored += 1
                kind.better += parent.score is None or child.rank > parent.rank
    return dict(sorted(found.items(), key=lambda item: -item[1].children))
