"""The sum of a rediscovery study: counts with intervals, costs, controls, a table of all seeds."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from evosearch.storage.atomic_write import write_atomic
from evosearch.studies.rediscovery.criterion import TARGETS
from evosearch.studies.rediscovery.study import EVOLUTION, Study
from evosearch.studies.statistics import fisher, wilson

__all__ = ["counts_table", "markdown", "markdown_table", "summarize", "write_summary"]

_COUNTS: Final = ("strict", "family", "best")
_KEPT: Final = (
    "arm",
    "seed",
    "strict",
    "family",
    "best",
    "recognized",
    "first",
    "family_first",
    "hit",
    "family_hit",
    "closest",
    "leader",
    "rivals",
    "proposals",
    "evaluations",
    "core_seconds",
    "verdict_core_seconds",
    "digest",
)

_SHARES: Final = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Of evolution's budget, at which hits are shown."""

Verdict = Mapping[str, Any]


def summarize(study: Study, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Return the sum of a study as plain JSON.

    The medians count a seed that did not find the target as one that takes forever, so they are
    None where fewer than half of the seeds found it.
    """
    arms: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        arms.setdefault(verdict["arm"], []).append(verdict)
    evolution = arms.pop(EVOLUTION, [])
    return {
        "target": study.target,
        "start": study.start,
        "budget": study.config.budget.evaluations,
        **_arm(evolution),
        "controls": {
            arm: _arm(found) | _beside(found, evolution, study) for arm, found in arms.items()
        },
        "seed_numbers": list(study.seeds),
        "definition": TARGETS[study.target].definition,
        "runs": [{key: verdict[key] for key in _KEPT} for verdict in verdicts],
    }


def _arm(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Return the counts and costs of one arm."""
    n = len(verdicts)
    row: dict[str, Any] = {"seeds": n}
    for key in _COUNTS:
        row[key] = sum(verdict[key] for verdict in verdicts)
    for key in _COUNTS:
        row[f"{key}_interval"] = [round(x, 4) for x in wilson(row[key], n)]
    for key in ("core_seconds", "evaluations", "proposals"):
        row[f"median_{key}"] = _median(v["first"][key] if v["strict"] else None for v in verdicts)
        row[f"median_family_{key}"] = _median(
            v["family_first"][key] if v["family"] else None for v in verdicts
        )
    row["median_best_score"] = _median(
        v["leader"]["score"] if v["leader"] else None for v in verdicts
    )
    row["found_after"] = sorted(v["first"]["evaluations"] for v in verdicts if v["strict"])
    row["total_core_seconds"] = round(sum(v["core_seconds"] for v in verdicts), 1)
    return row


def _beside(found: Sequence[Verdict], evolution: Sequence[Verdict], study: Study) -> dict[str, Any]:
    """Return what a control found within evolution's budget, and Fisher's test of both budgets."""
    budget, n, m = study.config.budget.evaluations, len(found), len(evolution)
    after = [v["first"]["evaluations"] for v in found if v["strict"]]
    within = sum(evaluations <= budget for evaluations in after)
    hits = sum(v["strict"] for v in evolution)
    return {
        "strict_within": within,
        "p_within": fisher(hits, m, within, n) if m else None,
        "p_whole": fisher(hits, m, len(after), n) if m else None,
    }


def _median(values: Iterable[float | None]) -> float | None:
    """Return the median, what is None counting as infinite; None where it is infinite."""
    numbers = [math.inf if value is None else value for value in values]
    middle = median(numbers) if numbers else math.inf
    return middle if math.isfinite(middle) else None


def write_summary(directory: Path, summary: Mapping[str, Any]) -> None:
    """Write `summary.json` and `summary.md` into a study's directory."""
    write_atomic(directory / "summary.json", json.dumps(summary, indent=1) + "\n")
    write_atomic(directory / "summary.md", markdown(summary))


def markdown(summary: Mapping[str, Any]) -> str:
    """Return a summary for people, as Markdown."""
    target = str(summary["target"]).capitalize()
    lines = [
        f"# {target} from {summary['start']}",
        "",
        f"{_count(summary, 'strict')} seeds found it; with its relatives "
        f"{_count(summary, 'family')}; in {_count(summary, 'best')} it is the run's single best "
        "program.",
        f"What counts is fixed in `{summary['definition']}`. Intervals are Wilson's, 95 %; medians "
        "are until the first program that counts, a seed without one counting as infinite. p: "
        "Fisher's exact test of the hits against evolution's, two-sided.",
        "",
        *counts_table(summary),
        "",
        "## Hits against evaluations",
        "",
        *_curves(summary),
        "",
        "## Seeds",
        "",
        *markdown_table(
            ("arm", "seed", "found", "first", "evaluations", "core-s", "score", "best", "by"),
            [_seed_cells(run) for run in summary["runs"]],
        ),
        "",
        "## Programs",
        "",
    ]
    for run in summary["runs"]:
        lines += _programs(run)
    return "\n".join(lines).rstrip() + "\n"


def counts_table(summary: Mapping[str, Any]) -> list[str]:
    """Return the lines of a Markdown table of all arms' counts and costs."""
    columns = ["arm", "budget", "found", "family", "best", "proposals", "evaluations", "core-s"]
    rows = [_arm_cells(name, a, summary) for name, a in _arms(summary)]
    if any("strict_within" in arm for arm in summary["controls"].values()):
        columns += ["within evolution's budget", "p there", "p in all"]
        rows = [[*row, *_fisher_cells(a)] for row, (_, a) in zip(rows, _arms(summary), strict=True)]
    return markdown_table(columns, rows)


def _curves(summary: Mapping[str, Any]) -> list[str]:
    """Return the lines of a table of seeds that found it within shares of evolution's budget."""
    arms = _arms(summary)
    budgets = {name: _budget(name, summary) for name, _ in arms}
    points = [round(share * summary["budget"]) for share in _SHARES]
    points = [point for point in points if point <= max(budgets.values())]

    def cell(name: str, arm: Mapping[str, Any], point: int) -> str:
        if point > budgets[name]:
            return ""
        return f"{sum(found <= point for found in arm['found_after'])} of {arm['seeds']}"

    rows = [[name, *(cell(name, arm, point) for point in points)] for name, arm in arms]
    return markdown_table(["arm", *(f"{point:,}" for point in points)], rows)


def _budget(name: str, summary: Mapping[str, Any]) -> int:
    """Return the evaluations of an arm's runs."""
    runs = (run["evaluations"] for run in summary["runs"] if run["arm"] == name)
    return max(runs, default=0)


def _fisher_cells(arm: Mapping[str, Any]) -> list[str]:
    """Return a control's count at evolution's budget and the p values against evolution."""
    if "strict_within" not in arm:
        return ["", "", ""]
    ps = ["" if arm[key] is None else f"{arm[key]:.2g}" for key in ("p_within", "p_whole")]
    return [f"{arm['strict_within']} of {arm['seeds']}", *ps]


def _arms(summary: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(EVOLUTION, summary), *sorted(summary["controls"].items())]


def _arm_cells(name: str, arm: Mapping[str, Any], summary: Mapping[str, Any]) -> list[str]:
    medians = [_number(arm[f"median_{key}"]) for key in ("proposals", "evaluations")]
    counts = [_count(arm, key) for key in _COUNTS]
    return [
        name,
        f"{_budget(name, summary):,}",
        *counts,
        *medians,
        _number(arm["median_core_seconds"]),
    ]


def _count(arm: Mapping[str, Any], key: str) -> str:
    low, high = arm[f"{key}_interval"]
    return f"{arm[key]} of {arm['seeds']} ({low:.0%} to {high:.0%})"


def _seed_cells(run: Mapping[str, Any]) -> list[str]:
    found = "strict" if run["strict"] else "family" if run["family"] else "no"
    first = run["first"] or run["family_first"]
    hit = run["hit"] or run["family_hit"] or run["closest"]
    leader = run["leader"]
    by = "" if leader is None or run["best"] else leader["form"] or f"#{leader['id']}"
    costs = ["", "", ""]
    if first:
        costs = [f"#{first['id']}", f"{first['evaluations']:,}", f"{first['core_seconds']:.0f}"]
    scores = [_score(hit), _score(leader)]
    return [run["arm"], str(run["seed"]), found, *costs, *scores, by]


def _score(candidate: Mapping[str, Any] | None) -> str:
    if candidate is None:
        return ""
    error = candidate["score_se"]
    return f"{candidate['score']:+.3f}" + ("" if error is None else f" ± {error:.3f}")


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:,.0f}"


def _programs(run: Mapping[str, Any]) -> list[str]:
    shown = run["hit"] or run["family_hit"] or run["closest"]
    lines = [f"### {run['arm']}, seed {run['seed']}", ""]
    if shown:
        lines += _program("Found" if run["hit"] else "Nearest to it", shown)
    leader = run["leader"]
    if leader and (shown is None or leader["id"] != shown["id"]):
        lines += _program("The run's best program", leader)
    for rival in run["rivals"]:
        how = "beyond" if rival["beyond"] else "within"
        kind = "no larger" if rival["smaller"] else "larger"
        error = "" if rival["ahead_se"] is None else f" ± {rival['ahead_se']:.3f}"
        lead = f"{rival['ahead']:.3f}{error}, {how} the error"
        lines.append(f"- #{rival['id']}, {kind}, is ahead of it by {lead}")
    return [*lines, ""] if run["rivals"] else lines


def _program(title: str, candidate: Mapping[str, Any]) -> list[str]:
    form = candidate["form"]
    fitted = ", ".join(f"{k} {v:.4g}" for k, v in candidate["constants"].items())
    known = f", {form} with {fitted}" if form and fitted else f", {form}" if form else ""
    size = f"{candidate['statements']} statements, state memory {candidate['state_memory']}"
    texts = [("As evaluated", candidate["program"]), ("Simplified", candidate["simplified"])]
    lines = [f"{title}: #{candidate['id']}, score {_score(candidate)}, {size}{known}.", ""]
    for label, text in texts:
        lines += [
            f"{label}:",
            "",
            *(f"    {line}" if line else "" for line in text.splitlines()),
            "",
        ]
    return lines


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table, its columns aligned."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return "| " + " | ".join(padded) + " |"

    return [line(columns), line(["-" * width for width in widths]), *map(line, rows)]
