"""The report of a run: one HTML page that needs nothing else, not even a network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from itertools import accumulate
from typing import Final

from evosearch.candidate import Candidate
from evosearch.chart import Point, chart
from evosearch.progress import duration, score_text
from evosearch.run import Run

__all__ = ["render"]

_LISTED: Final = 20
_IN_FULL: Final = 3
_LOWEST: Final = -1.0
"""Worse candidates lie on the charts' lower edge."""

_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1c2430; background: #fff }
h1, h2, h3 { line-height: 1.2 } h2 { margin-top: 2.5rem }
table { border-collapse: collapse; width: 100% } th, td { padding: .25rem .6rem; text-align: right }
th { border-bottom: 1px solid #999 } td.text, th.text { text-align: left }
pre { background: #f4f5f7; padding: .8rem; overflow-x: auto; font-size: .85rem }
svg { width: 100%; height: auto } svg text { font-size: 12px; fill: #555 }
.x { text-anchor: middle } .y { text-anchor: end }
.grid { stroke: #e4e6ea } .zero { stroke: #888 } .line { stroke: #b3261e; fill: none }
.point { fill: #5b7fb9; fill-opacity: .55 } .marked { fill: #b3261e } .error { stroke: #b3261e }
"""


def render(run: Run) -> str:
    """Return the page as HTML."""
    best = run.top(_LISTED)
    title = f"evosearch: {run.directory.name}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        _summary(run),
        "<h2>Scores</h2>",
        "<p>The score is the log of tuned AdamW's excess loss over the candidate's, the mean over "
        "tasks and all evaluations: above 0 is better than AdamW. The line is the best so far, and "
        "going further up the tiers of tasks beats any score. Candidates without a score are left "
        f"out, those below {_LOWEST:g} are on the lower edge.</p>",
        _history(run),
        _sizes(run, best),
        "<h2>Hall of fame</h2>",
        _fame(best),
        *(part for candidate in best[:_IN_FULL] for part in _in_full(run, candidate)),
        "<h2>What it was compared with</h2>",
        _references(run),
        "<h2>How it was made</h2>",
        _details("Configuration", json.dumps(run.manifest["config"], indent=1)),
        _details(
            "Versions and hardware",
            json.dumps({k: v for k, v in run.manifest.items() if k != "config"}, indent=1),
        ),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _summary(run: Run) -> str:
    ledger = run.ledger
    budget = run.manifest["config"]["budget"]["evaluations"]
    rate = "none" if ledger.hit_rate is None else f"{ledger.hit_rate:.1%}"
    counts = ", ".join(f"{n} {name}" for name, n in ledger.statuses().items())
    rows = [
        ("State", run.state),
        ("Started", str(run.manifest["created"])),
        ("Seed", str(run.manifest["seeds"]["run"])),
        ("Evaluated", f"{len(ledger.candidates):,} of {budget:,} ({counts or 'none yet'})"),
        ("Re-evaluated", f"{ledger.confirmations:,}"),
        ("Proposed", f"{ledger.proposals:,}, of which {rate} computed something known"),
        ("Worker time", duration(ledger.worker_seconds)),
        *(("Fault", fault) for fault in ledger.faults),
    ]
    return _table(("", ""), rows, text=(0, 1))


def _history(run: Run) -> str:
    scored = [c for c in run.ledger.candidates.values() if c.score is not None]
    points = [_point(c, c.id, marked=False) for c in scored]
    leaders = accumulate(scored, lambda a, b: max(a, b, key=lambda candidate: candidate.rank))
    steps = [(c.id, leader.score or 0.0) for c, leader in zip(scored, leaders, strict=True)]
    return chart(points, "candidate", "score", steps=steps, bottom=_LOWEST)


def _sizes(run: Run, best: Sequence[Candidate]) -> str:
    marked = {candidate.id for candidate in best[:_IN_FULL]}
    scored = [c for c in run.ledger.candidates.values() if c.score is not None]
    points = [_point(c, c.statements, marked=c.id in marked) for c in scored]
    return chart(points, "statements that matter", "score", bottom=_LOWEST)


def _point(candidate: Candidate, x: float, marked: bool) -> Point:
    assert candidate.score is not None
    title = f"candidate {candidate.id}: {score_text(candidate.score, candidate.error)}"
    error = candidate.error if marked else None
    return Point(x, candidate.score, title, error, marked)


def _fame(best: Sequence[Candidate]) -> str:
    columns = ("rank", "id", "score ± se", "rounds", "statements", "states", "recognized as")
    rows = [
        (
            str(rank),
            str(candidate.id),
            score_text(candidate.score, candidate.error),
            str(candidate.rounds),
            str(candidate.statements),
            str(candidate.states),
            str(candidate.recognized or ""),
        )
        for rank, candidate in enumerate(best, 1)
    ]
    return _table(columns, rows, text=(6,))


def _in_full(run: Run, candidate: Candidate) -> Iterable[str]:
    from evosearch.equations import equations

    yield f"<h3>Candidate {candidate.id}</h3>"
    tasks = [
        (task, score_text(score.mean, score.se)) for task, score in candidate.task_scores().items()
    ]
    yield _table(("task", "score ± se"), tasks, text=(0,))
    yield f"<pre>{escape(candidate.canonical)}</pre>"
    rules = (candidate.stripped.matrix, candidate.stripped.rest)
    lines = [str(e) for rule in rules if rule is not None for e in equations(rule)]
    yield f"<pre>{escape(chr(10).join(lines))}</pre>"
    names = [f"{c.id} ({c.mutation})" for c in run.ledger.ancestors(candidate.id)]
    yield f"<p>Lineage, youngest first: {escape(', '.join(names))}</p>"


def _references(run: Run) -> str:
    rows = [
        (
            task,
            ", ".join(f"{value:.4f}" for value in record["values"]),
            "at the grid's edge" if record["edge"] else "",
        )
        for task, record in run.ledger.references.items()
    ]
    return _table(("task", "end values of tuned AdamW by seed", ""), rows, text=(0, 1, 2))


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], text: Sequence[int] = ()) -> str:
    """Return a table; columns numbered in `text` are words."""

    def row(cells: Sequence[str], tag: str) -> str:
        kinds = [' class="text"' if i in text else "" for i in range(len(cells))]
        parts = (f"<{tag}{k}>{escape(c)}</{tag}>" for c, k in zip(cells, kinds, strict=True))
        return f"<tr>{''.join(parts)}</tr>"

    head = row(columns, "th") if any(columns) else ""
    return f"<table>{head}{''.join(row(cells, 'td') for cells in rows)}</table>"


def _details(title: str, text: str) -> str:
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"
