"""Several runs on one page: seeds of a preset, arms of a study, one's own attempts.

Each run's best is the best of many noisy scores, so what the runs' finds are worth is compared on
seeds that did not pick them.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import numpy as np

from evosearch.runs.candidate import Candidate
from evosearch.runs.excerpt import later, score_cell
from evosearch.runs.front import Recommendation, Scored, recommend
from evosearch.runs.html import (
    Markup,
    code,
    figure,
    heading,
    inline,
    link,
    navigation,
    page,
    paragraph,
    section,
    table,
)
from evosearch.runs.progress import score_text
from evosearch.runs.run import Run
from evosearch.runs.svg import ChartAxis, ChartLine, ChartPoint, chart, intervals

__all__ = ["Side", "side_by_side"]

_COLOURS: Final = 5
_IN_FULL: Final = 40
"""Runs whose find is shown in full."""
_LOWEST: Final = -1.0


@dataclass(frozen=True)
class Side:
    """One of the runs, and what the page calls it."""

    name: str
    run: Run
    arm: str = ""
    """What it is one seed of; lines of one arm have one colour."""


@dataclass(frozen=True)
class _Row:
    side: Side
    anchor: str
    scored: Scored
    chosen: Recommendation | None
    shown: bool
    """Whether its find is shown in full."""


def side_by_side(title: str, sides: Sequence[Side], study: Mapping[str, Any] | None = None) -> str:
    """Return the page as HTML.

    Args:
        title: What the runs are together.
        sides: The runs; they may be going on.
        study: The `summary.json` of a rediscovery study that they belong to.
    """
    rows = [
        _Row(
            side,
            f"run{i}",
            Scored.of(side.run.history).whole(),
            _recommended(side.run),
            i < _IN_FULL,
        )
        for i, side in enumerate(sides)
    ]
    parts = [("found", "Found", "What was found", [*_found(rows)])]
    if study is not None:
        parts.append(("study", "Rediscovery", "How often it was found", [*_study(study)]))
    parts.append(("curves", "Curves", "How the searches went", [*_curves(rows)]))
    parts.append(("finds", "Finds", "What each run found", [*_finds(rows)]))
    return page(
        f"evosearch: {title}",
        [
            f"<h1>evosearch: {escape(title)}</h1>",
            navigation((name, short) for name, short, _, _ in parts),
            *(section(name, whole, body) for name, _, whole, body in parts),
        ],
    )


def _recommended(run: Run) -> Recommendation | None:
    return recommend([*run.top(20, confirmed=True), *run.top(20, confirmed=False)])


def _found(rows: Sequence[_Row]) -> Iterable[str]:
    found = [(row, row.chosen.candidate) for row in rows if row.chosen is not None]
    evaluated = sum(len(row.side.run.history.candidates) for row in rows)
    yield paragraph(
        f"{len(rows)} run{'s' if len(rows) > 1 else ''}, {evaluated:,} candidates. Scores are logs "
        f"of {rows[0].side.run.unit}; above 0 is better than AdamW.",
        lead=True,
    )
    kinds = {(row.side.run.unit, *sorted(row.side.run.config.task_names)) for row in rows}
    if len(kinds) > 1:
        yield paragraph("They have different tasks or units: their scores are not of one kind.")
    fresh = [(row, c, later(row.side.run, c)) for row, c in found]
    shown = [
        (row.side.name, [ChartPoint(s.mean, 0.0, f"{row.side.name}, #{c.id}: {s}", s.se, "front")])
        for row, c, s in fresh
        if s is not None
    ]
    if shown:
        caption = "The candidate that each run recommends, on seeds that did not pick it."
        yield figure(intervals("score against AdamW, ± 2 standard errors", shown), caption)
    yield table(
        (
            "run",
            "",
            "seed",
            "evaluated",
            "id",
            "score ± se",
            "later seeds",
            "statements",
            "state memory",
            "recognized as",
        ),
        [_cells(row) for row in rows],
        text=("run", "", "recognized as"),
    )
    yield paragraph(
        "Of each run the candidate to use; why is said beside each. Later seeds: the score without "
        "the first evaluation, which picked it.",
        note=True,
    )


def _cells(row: _Row) -> tuple[str | Markup, ...]:
    run, chosen = row.side.run, row.chosen
    facts = (
        link(row.side.name, row.anchor) if row.shown else row.side.name,
        "" if run.history.finished else run.state.partition(" by ")[0],
        str(run.manifest["seeds"]["run"]),
        f"{len(run.history.candidates):,} of {run.budget:,}",
    )
    if chosen is None:
        return (*facts, "none", "", "", "", "", "")
    c = chosen.candidate
    return (
        *facts,
        str(c.id),
        score_text(c.score, c.error),
        score_cell(later(run, c)) or "seen once",
        str(c.statements),
        f"{c.state_memory:g}",
        c.recognized.title if c.recognized else "",
    )


def _curves(rows: Sequence[_Row]) -> Iterable[str]:
    yield paragraph("The best score so far, by today's scores, over the candidates evaluated.")
    groups = list(dict.fromkeys(row.side.arm or row.side.name for row in rows))
    colours = {name: f"c{1 + i % _COLOURS}" for i, name in enumerate(groups)}
    named = set[str]()
    lines: list[ChartLine] = []
    for row in rows:
        if not len(row.scored):
            continue
        group = row.side.arm or row.side.name
        # A legend of very many runs would be longer than the figure.
        name = group if group not in named and len(groups) <= 2 * _COLOURS else ""
        named.add(group)
        lines.append(ChartLine(_leads(row.scored), name, colours[group], steps=True))
    axis = ChartAxis("score", low=_LOWEST, level=0.0)
    yield figure(chart(ChartAxis("candidates evaluated", low=0.0), axis, (), lines))


def _leads(scored: Scored) -> list[tuple[float, float]]:
    at = scored.leads()
    points = [(float(scored.ids[i]), float(scored.scores[i])) for i in at]
    return [*points, (float(np.max(scored.ids)), points[-1][1])]


def _finds(rows: Sequence[_Row]) -> Iterable[str]:
    from evosearch.language.mathml import mathml

    for row in rows:
        if not row.shown:
            break
        yield heading(3, row.side.name, row.anchor)
        if row.chosen is None:
            yield paragraph("No candidate has a score yet.")
            continue
        c: Candidate = row.chosen.candidate
        known = f"; it is {c.recognized}" if c.recognized else ""
        yield paragraph(
            f"#{c.id}, {score_text(c.score, c.error)}{known}; {row.chosen.reason}.", note=True
        )
        yield mathml(c.program, step=False)
        program = code(str(c.program.renamed(c.name)), f"{row.anchor}-text")
        place = shlex.quote(str(row.side.run.directory))
        command = code(f"evosearch report {place}", f"{row.anchor}-report")
        yield f"<details><summary>Program, and its own report</summary>{program}{command}</details>"
    if len(rows) > _IN_FULL:
        yield paragraph(f"{len(rows) - _IN_FULL} more are in the table alone.", note=True)


def _study(study: Mapping[str, Any]) -> Iterable[str]:
    arms = [("evolution", study), *sorted(study["controls"].items())]
    target, start = _title(str(study["target"])), _title(str(study["start"]))
    n, hits = study["seeds"], study["strict"]
    low, high = study["strict_interval"]
    yield paragraph(
        f"{target} was found again from {start} with {hits} of {n} seeds ({low:.0%} to {high:.0%})."
    )
    budgets = {
        name: max((r["evaluations"] for r in study["runs"] if r["arm"] == name), default=0)
        for name, _ in arms
    }
    lines: list[ChartLine] = []
    for number, (name, arm) in enumerate(arms):
        found = (r["first"] for r in study["runs"] if r["arm"] == name and r["strict"])
        points = [(0.0, 0.0)]
        for count, at in enumerate(sorted(first["evaluations"] for first in found), start=1):
            points.append((float(at), count / arm["seeds"]))
        points.append((float(budgets[name]), points[-1][1]))
        lines.append(ChartLine(points, name, f"c{1 + number % _COLOURS}", steps=True))
    across = ChartAxis("candidates evaluated", low=0.0)
    drawn = chart(across, ChartAxis("share of seeds that found it", low=0.0, high=1.0), (), lines)
    yield figure(drawn, "A line ends where its arm's budget was spent.")
    yield table(
        ("arm", "budget", "found", "95 % interval", "family", "best of its run", "after, median"),
        [
            (
                name,
                f"{budgets[name]:,}",
                f"{arm['strict']} of {arm['seeds']}",
                "{:.0%} to {:.0%}".format(*arm["strict_interval"]),
                str(arm["family"]),
                str(arm["best"]),
                _median(arm["median_evaluations"]),
            )
            for name, arm in arms
        ],
        text=("arm",),
    )
    yield paragraph(
        "Intervals are Wilson's. Family: it, or a relative, was found. After: candidates "
        "evaluated until the first that counts; a seed without one counts as infinite. What "
        "counts is fixed in:",
        note=True,
    )
    yield f"<p>{inline(str(study['definition'])).html}</p>"


def _title(name: str) -> str:
    """Return a known optimizer's title; an idea, which is none, begins with a capital letter."""
    from evosearch.language.library import LIBRARY

    return LIBRARY[name].title if name in LIBRARY else name.capitalize()


def _median(value: float | None) -> str:
    return "none" if value is None else f"{value:,.0f}"
