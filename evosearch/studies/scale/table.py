"""A scale test's result as a table, for the terminal and for `discovered/README.md`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from evosearch.studies.scale.paired import Summary, sentence

__all__ = ["COLUMNS", "REFERENCE", "WORDS", "correlation", "markdown", "rows", "shares", "size"]

REFERENCE: Final = "adamw"
"""The label that everybody is compared with."""

COLUMNS: Final = ("optimizer", "end value", "minus AdamW's", "speed-up (95 %)", "score", "search")
WORDS: Final = ("optimizer",)
"""Columns of words."""

_LEGEND: Final = (
    "End values and differences are means ± standard errors over seeds. The speed-up is AdamW's "
    "steps to {target} over the optimizer's, by mean curves, with a bootstrap interval over seeds, "
    "which is too narrow for so few; where an optimizer never gets there (<), it is the share of "
    "the steps after which AdamW is where the optimizer ends. Score: the log of AdamW's excess "
    "loss over the optimizer's; search: the log of {unit}, on {tasks}, fresh seeds, AdamW's "
    "constants tuned as well, the others' as they are."
)


def size(summary: Summary) -> str:
    """Return how large the task is, by itself and compared with the search's."""
    parts = []
    for key in ("parameters", "steps"):
        here, there = summary[key], summary["search"][key]
        parts.append(f"{here:,} {key}, {here / there:.0f} times the search's")
    return "; ".join(parts)


def shares(summary: Summary) -> list[str]:
    """Return the shares of AdamW's steps whose loss is a target."""
    return list(summary["optimizers"][REFERENCE]["speedup"])


def rows(summary: Summary, at: str | None = None) -> list[tuple[str, ...]]:
    """Return a row for each optimizer, best score first.

    Args:
        summary: The result.
        at: One of the shares; by default the first.
    """
    at = at or shares(summary)[0]
    found = summary["optimizers"].items()
    ordered = sorted(found, key=lambda item: -item[1]["score"][0])
    return [
        (
            label,
            _number(row["end"], ".4f") or "diverged",
            "" if label == REFERENCE else _number(row["difference"], "+.4f"),
            "1" if label == REFERENCE else _speedup(row["speedup"][at]),
            "0" if label == REFERENCE else _number(row["score"], "+.3f"),
            _number(row["search"], "+.3f") or "failed",
        )
        for label, row in ordered
    ]


def correlation(summary: Summary) -> str:
    """Return a sentence on how well the search's score foretells this one."""
    found = summary["rank_correlation"]
    if found["value"] is None:
        return "Too few optimizers for a rank correlation with the search's score."
    low, high = found["interval"] or (-1.0, 1.0)
    return (
        f"Rank correlation (Spearman) of the search's score and the score here, over "
        f"{found['optimizers']} optimizers: {found['value']:+.2f}, 95 % interval {low:+.2f} to "
        f"{high:+.2f}."
    )


def markdown(summary: Summary) -> list[str]:
    """Return the lines of a section for a Markdown page."""
    from evosearch.studies.rediscovery.summary import markdown_table

    share, search = float(shares(summary)[0]), summary["search"]
    target = "its own end value" if share == 1.0 else f"its value after {share:.0%} of its steps"
    edges = [label for label, row in summary["optimizers"].items() if row["edge"]]
    at_edge = f" Best at the edge of what was tried: {', '.join(edges)}." if edges else ""
    return [
        f"## Scale test: {summary['task']}",
        "",
        f"The task has {size(summary)}. Each optimizer keeps its constants and has "
        f"{summary['trials']} trials of learning rate and of the ratio between hidden matrices and "
        f"the rest on one seed; the best is trained on {summary['seeds']} others. "
        f"{summary['core_seconds'] / 60:.0f} core-minutes, look {summary['look']} at held-out "
        f"tasks.{at_edge}",
        "",
        *markdown_table(COLUMNS, rows(summary)),
        "",
        _LEGEND.format(target=target, unit=search["unit"], tasks=", ".join(search["tasks"])),
        "",
        *([said, ""] if (said := sentence(summary)) else []),
        correlation(summary),
    ]


def _speedup(found: Mapping[str, Any]) -> str:
    text = f"{'' if found['reached'] else '<'}{found['value']:.2f}"
    if found["interval"] is None:
        return text
    low, high = found["interval"]
    return f"{text} ({low:.2f} to {high:.2f})"


def _number(pair: tuple[float, float | None] | None, form: str) -> str:
    if pair is None:
        return ""
    mean, error = pair
    return f"{mean:{form}}" + ("" if error is None else f" ± {error:{form.strip('+')}}")
