"""Who of a scale test ends lower than the best of the baselines, beyond the error.

Where learning rates alone are tuned, baselines have their textbook's constants, and a lead over
them may be a constant that nobody tried.

AdamW is what scores refer to; what has to be beaten is the baseline that is best on the task.
"""

from __future__ import annotations

from dataclasses import dataclass

from evosearch.studies.scale.summary import ScaleRow, ScaleSummary
from evosearch.studies.statistics import Difference, difference, holm

__all__ = ["Lead", "best_baseline", "leads", "sentence"]


@dataclass(frozen=True)
class Lead:
    """One optimizer against the best baseline."""

    label: str
    lower: Difference
    """How much lower it ends, paired by seed."""
    p: float
    """One-sided, corrected for all the optimizers that are compared (Holm)."""


def best_baseline(summary: ScaleSummary) -> str:
    """Return the label of the baseline that ends lowest in the mean."""
    ended = {
        label: row.end[0]
        for label, row in summary.optimizers.items()
        if row.baseline and row.end is not None
    }
    return min(ended, key=ended.__getitem__)


def leads(summary: ScaleSummary) -> list[Lead]:
    """Return the lead of every optimizer that is no baseline and did not diverge, largest first."""
    rows = summary.optimizers
    theirs = _ends(rows[best_baseline(summary)])
    finalists = [label for label, row in rows.items() if not row.baseline and row.end]
    lower = [
        difference([[a - b for a, b in zip(theirs, _ends(rows[label]), strict=True)]])
        for label in finalists
    ]
    corrected = holm([found.p for found in lower])
    found = [Lead(*parts) for parts in zip(finalists, lower, corrected, strict=True)]
    return sorted(found, key=lambda lead: -lead.lower.mean)


def sentence(summary: ScaleSummary) -> str:
    """Return in words who ends lower than the best baseline; empty where nobody was compared."""
    found = leads(summary)
    if not found:
        return ""
    corrected = f" after Holm over {len(found)}" if len(found) > 1 else ""
    said = [
        f"{lead.label} ends lower by {lead.lower.mean:.4f} ± {lead.lower.error:.4f} "
        f"(p = {lead.p:.2g}{corrected})"
        for lead in found
        if lead.p < 0.05
    ]
    who = "; ".join(said) if said else "nobody ends lower beyond the error"
    best = best_baseline(summary)
    text = f"Against {best}, the best of the baselines, paired by seed, one-sided: {who}."
    if not summary.constants_tuned and said:
        text += (
            " Learning rates alone were tuned: a lead may be a constant that nobody tried, which "
            "`--tune-constants` shows."
        )
    if summary.optimizers[best].edge:
        text += (
            f" But {best} is best at the edge of what was tried and may do better: give all more "
            "`--trials` before you believe a lead."
        )
    return text


def _ends(row: ScaleRow) -> list[float]:
    return [end for *_, end in row.curves if end is not None]
