"""The hall of fame as a table."""

from __future__ import annotations

from collections.abc import Sequence

from evosearch.candidate import Candidate
from evosearch.cli.output import table
from evosearch.progress import score_text

__all__ = ["print_fame"]


def print_fame(candidates: Sequence[Candidate]) -> None:
    """Print the best candidates, best first."""
    columns = (
        "rank",
        "id",
        "score ± se",
        "rounds",
        "seeds",
        "statements",
        "states",
        "recognized as",
    )
    rows = [
        (
            rank,
            candidate.id,
            score_text(candidate.score, candidate.error),
            candidate.rounds,
            candidate.seeds,
            candidate.statements,
            candidate.states,
            candidate.recognized.title if candidate.recognized else "",
        )
        for rank, candidate in enumerate(candidates, 1)
    ]
    table(columns, rows, left=("recognized as",))
