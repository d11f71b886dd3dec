"""A candidate as HTML: what a notebook shows of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evosearch.language.mathml import mathml
from evosearch.runs.html import details, excerpted, paragraph, table
from evosearch.training.score import Score

if TYPE_CHECKING:
    from evosearch.runs.candidate import Candidate

__all__ = ["candidate_excerpt"]


def candidate_excerpt(candidate: Candidate) -> str:
    """Return a candidate's formula, scores and program as HTML that is no page of its own."""
    known = f", {candidate.recognized}" if candidate.recognized else ""
    told = "no score" if candidate.score is None else str(Score(candidate.score, candidate.error))
    seen = "" if candidate.confirmed else ", seen once"
    title = f"Candidate {candidate.id}{known}: {told}{seen}; {candidate.statements} statements"
    scores = candidate.task_scores().items()
    rows = [(task, str(score)) for task, score in scores]
    return excerpted(
        [
            paragraph(title),
            mathml(candidate.program),
            table(("task", "score ± se"), rows, text=("task",)),
            details("Program", str(candidate.program.renamed(candidate.name))),
        ]
    )
