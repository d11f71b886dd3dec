"""How scores and times are told."""

from __future__ import annotations

from evosearch.training.score import Score

__all__ = ["duration", "score_text"]


def score_text(score: float | None, error: float | None) -> str:
    """Return a score with its standard error, for instance ``+0.123 ± 0.045``."""
    if score is None:
        return "none"
    return str(Score(score, error))


def duration(seconds: float) -> str:
    """Return a time like ``1:05`` or ``2:03:04``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
