"""A scale test's result as a table, for the terminal and for `discovered/README.md`."""

from __future__ import annotations

from typing import Final

from evosearch.studies.scale.paired import sentence
from evosearch.studies.scale.summary import MeanAndError, ScaleSummary, SearchedTasks, Speedup

__all__ = [
    "COLUMNS",
    "REFERENCE",
    "WORDS",
    "correlation",
    "markdown",
    "rows",
    "shares",
    "size",
    "unsettled",
]

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
    "loss over the optimizer's"
)
_SEARCH: Final = "; search: the log of {unit}, on {tasks}, fresh seeds, {constants}"


def size(parameters: int, steps: int, search: SearchedTasks | None) -> str:
    """Return how large a task is, by itself and compared with the search's."""
    if search is None:
        return f"{parameters:,} parameters; {steps:,} steps"
    return (
        f"{parameters:,} parameters, {parameters / search.parameters:.0f} times the search's; "
        f"{steps:,} steps, {steps / search.steps:.0f} times the search's"
    )


def shares(summary: ScaleSummary) -> list[str]:
    """Return the shares of AdamW's steps whose loss is a target."""
    return list(summary.optimizers[REFERENCE].speedup)


def rows(summary: ScaleSummary, at: str | None = None) -> list[tuple[str, ...]]:
    """Return a row for each optimizer, best score first.

    Args:
        summary: The result.
        at: One of the shares; by default the first.
    """
    at = at or shares(summary)[0]
    ordered = sorted(summary.optimizers.items(), key=lambda item: -item[1].score[0])
    return [
        (
            label,
            _number(row.end, ".4f") or "diverged",
            "" if label == REFERENCE else _number(row.difference, "+.4f"),
            "1" if label == REFERENCE else _speedup(row.speedup[at]),
            "0" if label == REFERENCE else _number(row.score, "+.3f"),
            _number(row.search, "+.3f") or ("failed" if summary.search else ""),
        )
        for label, row in ordered
    ]


def unsettled(summary: ScaleSummary) -> str:
    """Return in words whose trials ran out beside their best; empty where nobody's did."""
    edges = [label for label, row in summary.optimizers.items() if row.edge]
    return f"Best at the edge of what was tried: {', '.join(edges)}." if edges else ""


def correlation(summary: ScaleSummary) -> str:
    """Return a sentence on how well the search's score foretells this one."""
    found = summary.rank_correlation
    if found.value is None:
        return "Too few optimizers for a rank correlation with the search's score."
    low, high = found.interval or (-1.0, 1.0)
    return (
        f"Rank correlation (Spearman) of the search's score and the score here, over "
        f"{found.optimizers} optimizers: {found.value:+.2f}, 95 % interval {low:+.2f} to "
        f"{high:+.2f}."
    )


def markdown(summary: ScaleSummary) -> list[str]:
    """Return the lines of a section for a Markdown page."""
    from evosearch.studies.rediscovery.summary import markdown_table

    share = float(shares(summary)[0])
    target = "its own end value" if share == 1.0 else f"its value after {share:.0%} of its steps"
    whole = size(summary.parameters, summary.steps, summary.search)
    at_edge = f" {said}" if (said := unsettled(summary)) else ""
    return [
        f"## Scale test: {summary.task}",
        "",
        f"The task has {whole}. {_tuning(summary)}; the best is trained on {summary.seeds} others. "
        f"{summary.core_seconds / 60:.0f} core-minutes, look {summary.look} at held-out "
        f"tasks.{at_edge}",
        "",
        *markdown_table(COLUMNS, rows(summary)),
        "",
        _LEGEND.format(target=target) + _searched(summary) + ".",
        "",
        *([said, ""] if (said := sentence(summary)) else []),
        *([correlation(summary)] if summary.search else []),
    ]


def _searched(summary: ScaleSummary) -> str:
    """Return what the search's score is of; empty without a search."""
    if (search := summary.search) is None:
        return ""
    constants = "AdamW's constants tuned as well, the others' as they are"
    if summary.constants_tuned:
        constants = "everybody's constants tuned as well"
    return _SEARCH.format(unit=search.unit, tasks=", ".join(search.tasks), constants=constants)


def _tuning(summary: ScaleSummary) -> str:
    """Return what everybody's allowance was."""
    seeds = summary.tuning_seeds
    on = "one seed" if seeds == 1 else f"{seeds} seeds"
    of = "learning rate and of the ratio between hidden matrices and the rest"
    kept = "Each optimizer keeps its constants and has"
    if summary.constants_tuned:
        kept, of = "Each optimizer has", f"its constants, of {of}"
    return f"{kept} {summary.trials} trials of {of} on {on}"


def _speedup(found: Speedup) -> str:
    text = f"{'' if found.reached else '<'}{found.value:.2f}"
    low, high = found.interval or (None, None)
    if low is None or high is None:
        return text
    return f"{text} ({low:.2f} to {high:.2f})"


def _number(pair: MeanAndError | None, form: str) -> str:
    if pair is None:
        return ""
    mean, error = pair
    return f"{mean:{form}}" + ("" if error is None else f" ± {error:{form.strip('+')}}")
