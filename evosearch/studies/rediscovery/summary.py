"""The sum of a rediscovery study: counts with intervals, costs, controls, a table of all seeds."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final, Self

from evosearch.storage.atomic_write import write_atomic
from evosearch.storage.json_record import JsonRecord
from evosearch.studies.rediscovery.criterion import TARGETS
from evosearch.studies.rediscovery.study import EVOLUTION, Study
from evosearch.studies.rediscovery.verdict import JudgedCandidate, SeedResult, Verdict
from evosearch.studies.statistics import Interval, fisher, wilson

__all__ = [
    "ArmSummary",
    "ControlSummary",
    "StudySummary",
    "counts_table",
    "markdown",
    "markdown_table",
    "summarize",
    "write_summary",
]

_SHARES: Final = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Of evolution's budget, at which hits are shown."""


@dataclass(frozen=True)
class ArmSummary(JsonRecord):
    """Counts and costs of one arm. A median is None where it is infinite."""

    seeds: int
    strict: int
    """Seeds that found the target."""
    family: int
    """Seeds that found it or a relative."""
    best: int
    """Seeds whose single best program it is."""
    strict_interval: Interval
    """Wilson's, of the share of seeds."""
    family_interval: Interval
    best_interval: Interval
    median_core_seconds: float | None
    """Until the first that counts, as are the next five."""
    median_family_core_seconds: float | None
    median_evaluations: float | None
    median_family_evaluations: float | None
    median_proposals: float | None
    median_family_proposals: float | None
    median_best_score: float | None
    total_core_seconds: float
    found_after: tuple[int, ...] = ()
    """Evaluations after which seeds found it, ascending; studies before November 2026 lack it."""


@dataclass(frozen=True)
class ControlSummary(ArmSummary):
    """A control, beside evolution; what is None was not measured, or has nothing beside it."""

    strict_within: int | None = None
    """Seeds that found the target within evolution's budget."""
    p_within: float | None = None
    """Fisher's exact test of that count against evolution's."""
    p_whole: float | None = None
    """The same of all that the control found."""


@dataclass(frozen=True)
class StudySummary(JsonRecord):
    """The sum of a study."""

    target: str
    start: str
    budget: int
    """Evaluations of a seed of evolution."""
    evolution: ArmSummary
    controls: Mapping[str, ControlSummary]
    seed_numbers: tuple[int, ...]
    definition: str
    """Where it is fixed what counts."""
    runs: tuple[SeedResult, ...]

    @property
    def arms(self) -> dict[str, ArmSummary]:
        """Evolution, then the controls."""
        return {EVOLUTION: self.evolution, **dict(sorted(self.controls.items()))}

    def budget_of(self, arm: str) -> int:
        """Return the evaluations of an arm's runs."""
        return max((run.evaluations for run in self.runs if run.arm == arm), default=0)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON, in which evolution's figures stand beside the study's."""
        return {
            "target": self.target,
            "start": self.start,
            "budget": self.budget,
            **self.evolution.to_json(),
            "controls": {name: arm.to_json() for name, arm in self.controls.items()},
            "seed_numbers": list(self.seed_numbers),
            "definition": self.definition,
            "runs": [run.to_json() for run in self.runs],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned, or an older version's.

        Raises:
            LookupError, ValueError: It is something else.
        """
        return cls(
            data["target"],
            data["start"],
            data["budget"],
            ArmSummary.from_json(data),
            {name: ControlSummary.from_json(arm) for name, arm in data["controls"].items()},
            tuple(data["seed_numbers"]),
            data["definition"],
            tuple(map(SeedResult.from_json, data["runs"])),
        )


def summarize(study: Study, verdicts: Sequence[Verdict]) -> StudySummary:
    """Return the sum of a study.

    The medians count a seed that did not find the target as one that takes forever, so they are
    None where fewer than half of the seeds found it.
    """
    arms: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        arms.setdefault(verdict.arm, []).append(verdict)
    evolution = arms.pop(EVOLUTION, [])
    return StudySummary(
        target=study.target,
        start=study.start,
        budget=study.config.budget.evaluations,
        evolution=ArmSummary(**_figures(evolution)),
        controls={arm: _control(found, evolution, study) for arm, found in arms.items()},
        seed_numbers=study.seeds,
        definition=TARGETS[study.target].definition,
        runs=tuple(verdict.result for verdict in verdicts),
    )


def _figures(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Return the counts and costs of one arm, by field."""
    n = len(verdicts)
    counts = {key: sum(getattr(v, key) for v in verdicts) for key in ("strict", "family", "best")}
    low_high = {key: wilson(count, n) for key, count in counts.items()}
    first = [v.first if v.strict else None for v in verdicts]
    family = [v.family_first if v.family else None for v in verdicts]
    medians = {
        f"median_{prefix}{key}": _median(None if m is None else getattr(m, key) for m in moments)
        for key in ("core_seconds", "evaluations", "proposals")
        for prefix, moments in (("", first), ("family_", family))
    }
    return {
        "seeds": n,
        **counts,
        **{f"{k}_interval": (round(low, 4), round(high, 4)) for k, (low, high) in low_high.items()},
        **medians,
        "median_best_score": _median(v.leader.score if v.leader else None for v in verdicts),
        "found_after": _found_after(verdicts),
        "total_core_seconds": round(sum(v.core_seconds for v in verdicts), 1),
    }


def _found_after(verdicts: Sequence[Verdict]) -> tuple[int, ...]:
    """Return after how many evaluations seeds found the target, ascending."""
    return tuple(sorted(v.first.evaluations for v in verdicts if v.first is not None))


def _control(
    found: Sequence[Verdict], evolution: Sequence[Verdict], study: Study
) -> ControlSummary:
    """Return a control: also within evolution's budget, with Fisher's test of both budgets."""
    n, m = len(found), len(evolution)
    after = _found_after(found)
    within = sum(evaluations <= study.config.budget.evaluations for evaluations in after)
    hits = sum(v.strict for v in evolution)
    return ControlSummary(
        **_figures(found),
        strict_within=within,
        p_within=fisher(hits, m, within, n) if m else None,
        p_whole=fisher(hits, m, len(after), n) if m else None,
    )


def _median(values: Iterable[float | None]) -> float | None:
    """Return the median, what is None counting as infinite; None where it is infinite."""
    numbers = [math.inf if value is None else value for value in values]
    middle = median(numbers) if numbers else math.inf
    return middle if math.isfinite(middle) else None


def write_summary(directory: Path, summary: StudySummary) -> None:
    """Write `summary.json` and `summary.md` into a study's directory."""
    write_atomic(directory / "summary.json", json.dumps(summary.to_json(), indent=1) + "\n")
    write_atomic(directory / "summary.md", markdown(summary))


def markdown(summary: StudySummary) -> str:
    """Return a summary for people, as Markdown."""
    evolution = summary.evolution
    lines = [
        f"# {summary.target.capitalize()} from {summary.start}",
        "",
        f"{_share(evolution.strict, evolution.strict_interval, evolution.seeds)} seeds found it; "
        f"with its relatives {_share(evolution.family, evolution.family_interval, evolution.seeds)}"
        f"; in {_share(evolution.best, evolution.best_interval, evolution.seeds)} it is the run's "
        "single best program.",
        f"What counts is fixed in `{summary.definition}`. Intervals are Wilson's, 95 %; medians "
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
            [_seed_cells(run) for run in summary.runs],
        ),
        "",
        "## Programs",
        "",
    ]
    for run in summary.runs:
        lines += _programs(run)
    return "\n".join(lines).rstrip() + "\n"


def counts_table(summary: StudySummary) -> list[str]:
    """Return the lines of a Markdown table of all arms' counts and costs."""
    columns = ["arm", "budget", "found", "family", "best", "proposals", "evaluations", "core-s"]
    rows = [_arm_cells(name, arm, summary.budget_of(name)) for name, arm in summary.arms.items()]
    if any(arm.strict_within is not None for arm in summary.controls.values()):
        columns += ["within evolution's budget", "p there", "p in all"]
        rows = [
            [*row, *_fisher_cells(arm)]
            for row, arm in zip(rows, summary.arms.values(), strict=True)
        ]
    return markdown_table(columns, rows)


def _curves(summary: StudySummary) -> list[str]:
    """Return the lines of a table of seeds that found it within shares of evolution's budget."""
    budgets = {name: summary.budget_of(name) for name in summary.arms}
    points = [round(share * summary.budget) for share in _SHARES]
    points = [point for point in points if point <= max(budgets.values())]

    def cell(name: str, arm: ArmSummary, point: int) -> str:
        if point > budgets[name]:
            return ""
        return f"{sum(found <= point for found in arm.found_after)} of {arm.seeds}"

    rows = [
        [name, *(cell(name, arm, point) for point in points)] for name, arm in summary.arms.items()
    ]
    return markdown_table(["arm", *(f"{point:,}" for point in points)], rows)


def _fisher_cells(arm: ArmSummary) -> list[str]:
    """Return a control's count at evolution's budget and the p values against evolution."""
    if not isinstance(arm, ControlSummary) or arm.strict_within is None:
        return ["", "", ""]
    ps = ["" if p is None else f"{p:.2g}" for p in (arm.p_within, arm.p_whole)]
    return [f"{arm.strict_within} of {arm.seeds}", *ps]


def _arm_cells(name: str, arm: ArmSummary, budget: int) -> list[str]:
    return [
        name,
        f"{budget:,}",
        _share(arm.strict, arm.strict_interval, arm.seeds),
        _share(arm.family, arm.family_interval, arm.seeds),
        _share(arm.best, arm.best_interval, arm.seeds),
        _number(arm.median_proposals),
        _number(arm.median_evaluations),
        _number(arm.median_core_seconds),
    ]


def _share(count: int, interval: Interval, seeds: int) -> str:
    low, high = interval
    return f"{count} of {seeds} ({low:.0%} to {high:.0%})"


def _seed_cells(run: SeedResult) -> list[str]:
    found = "strict" if run.strict else "family" if run.family else "no"
    first = run.first or run.family_first
    leader = run.leader
    by = "" if leader is None or run.best else leader.form or f"#{leader.id}"
    costs = ["", "", ""]
    if first:
        costs = [f"#{first.id}", f"{first.evaluations:,}", f"{first.core_seconds:.0f}"]
    scores = [_score(_shown(run)), _score(leader)]
    return [run.arm, str(run.seed), found, *costs, *scores, by]


def _shown(run: SeedResult) -> JudgedCandidate | None:
    """Return what came nearest to the target."""
    return run.hit or run.family_hit or run.closest


def _score(candidate: JudgedCandidate | None) -> str:
    if candidate is None:
        return ""
    error = candidate.score_se
    return f"{candidate.score:+.3f}" + ("" if error is None else f" ± {error:.3f}")


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:,.0f}"


def _programs(run: SeedResult) -> list[str]:
    shown, leader = _shown(run), run.leader
    lines = [f"### {run.arm}, seed {run.seed}", ""]
    if shown:
        lines += _program("Found" if run.hit else "Nearest to it", shown)
    if leader and (shown is None or leader.id != shown.id):
        lines += _program("The run's best program", leader)
    for rival in run.rivals:
        how = "beyond" if rival.beyond else "within"
        kind = "no larger" if rival.smaller else "larger"
        error = "" if rival.ahead_se is None else f" ± {rival.ahead_se:.3f}"
        lead = f"{rival.ahead:.3f}{error}, {how} the error"
        lines.append(f"- #{rival.id}, {kind}, is ahead of it by {lead}")
    return [*lines, ""] if run.rivals else lines


def _program(title: str, candidate: JudgedCandidate) -> list[str]:
    form = candidate.form
    fitted = ", ".join(f"{k} {v:.4g}" for k, v in candidate.constants.items())
    known = f", {form} with {fitted}" if form and fitted else f", {form}" if form else ""
    size = f"{candidate.statements} statements, state memory {candidate.state_memory}"
    texts = [("As evaluated", candidate.program), ("Simplified", candidate.simplified)]
    lines = [f"{title}: #{candidate.id}, score {_score(candidate)}, {size}{known}.", ""]
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
