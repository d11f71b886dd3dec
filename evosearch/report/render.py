"""The report of a run: one HTML page that says what was found, how sure that is, and how.

It answers, in this order: is the best better than AdamW, also on seeds that did not choose
it, and on which tasks; how the search got there; what is best at each size; what the best compute,
where they come from and what every step changed; what they were compared with.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from evosearch.report.analysis import Scored, change, front, yields
from evosearch.report.svg import ChartPoint, chart
from evosearch.runs.candidate import Candidate
from evosearch.runs.excerpt import candidate_link, finding, hall_of_fame, later, score_cell
from evosearch.runs.html import Markup, code, details, heading, inline, page, paragraph, table
from evosearch.runs.progress import duration, score_text
from evosearch.runs.run import Run
from evosearch.training.score import Score, mean_score

__all__ = ["render"]

_LISTED: Final = 20
_IN_FULL: Final = 3
_LOWEST: Final = -1.0
"""Worse candidates lie on the charts' lower edge."""
_MANY: Final = 4000
"""Points that a chart draws all of."""
_PLACES: Final = (280, 120)
"""Columns and rows of a chart's places where it draws one point each, of very many."""
_EQUATIONS: Final = 240
"""The longest equations, in characters, that are shown in a cell."""


def render(run: Run) -> str:
    """Return the page as HTML."""
    best, once = run.top(_LISTED, confirmed=True), run.top(_LISTED, confirmed=False)
    scored = Scored.of(run)
    smaller = front(run, scored)
    leading = best or once
    shown = {candidate.id: candidate for candidate in (*leading[:_IN_FULL], *smaller)}
    parts = [
        *finding(run, leading),
        heading(2, "How it went"),
        _summary(run),
        paragraph(
            f"The score is the log of {run.unit}, the mean over tasks and all "
            "evaluations: above 0 is better than AdamW. Every point is a candidate "
            "with its score of today; the line is the best so far, and going further up the tiers "
            f"of tasks beats any score. Scores below {_LOWEST:g} are on the lower edge.",
            note=True,
        ),
        _history(scored),
        *_sizes(run, scored, smaller),
        heading(2, "Hall of fame"),
        *hall_of_fame(run, best, once, shown),
        paragraph(
            "Later seeds: the score without the first evaluation, which picked the candidate out "
            "of many. Memory: state entries for each entry of a matrix.",
            note=True,
        ),
        *(part for candidate in shown.values() for part in _in_full(run, candidate)),
        heading(2, "What the mutations gave"),
        *_mutations(run),
        heading(2, "What it was compared with"),
        *_references(run),
        heading(2, "How it was made"),
        details("Configuration", json.dumps(run.manifest["config"], indent=1)),
        details(
            "Versions and hardware",
            json.dumps({k: v for k, v in run.manifest.items() if k != "config"}, indent=1),
        ),
    ]
    return page(f"evosearch: {run.directory.name}", parts)


def _summary(run: Run) -> str:
    history = run.history
    budget = run.budget
    rate = "none" if history.hit_rate is None else f"{history.hit_rate:.1%}"
    counts = ", ".join(f"{n} {name}" for name, n in history.statuses().items())
    rows = [
        ("State", run.state),
        ("Started", str(run.manifest["created"])),
        ("Seed", str(run.manifest["seeds"]["run"])),
        ("Evaluated", f"{len(history.candidates):,} of {budget:,} ({counts or 'none yet'})"),
        ("Re-evaluated", f"{history.confirmations:,}"),
        ("Proposed", f"{history.proposals:,}, of which {rate} computed something known"),
        ("Worker time", duration(history.worker_seconds)),
        *(("Fault", fault) for fault in history.faults),
    ]
    words = [(Markup(f"<b>{name}</b>"), value) for name, value in rows]
    return table(("", ""), words, text=("",))


def _history(scored: Scored) -> str:
    leading = scored.leads()
    leaders = np.unique(leading)
    points = _points(scored, scored.ids, leaders)
    ends = [*leaders.tolist(), *([len(leading) - 1] if len(leading) else [])]
    steps = [(float(scored.ids[at]), float(scored.scores[leading[at]])) for at in ends]
    return chart(points, "candidates evaluated", "score", steps=steps, bottom=_LOWEST)


def _sizes(run: Run, scored: Scored, smaller: Sequence[Candidate]) -> Iterable[str]:
    marked = np.searchsorted(scored.ids, [candidate.id for candidate in smaller])
    points = _points(scored, scored.statements, marked)
    steps = [(c.statements, c.score or 0.0) for c in smaller]
    yield heading(2, "Score against size")
    yield chart(points, "statements that matter", "score", steps=steps, bottom=_LOWEST)
    rows = [
        (
            str(c.statements),
            candidate_link(c),
            score_text(c.score, c.error),
            score_cell(later(run, c)) if c.confirmed else "seen once",
            str(c.seeds),
            inline(_equations(c)),
        )
        for c in smaller
    ]
    yield paragraph("The front: nothing of its size or smaller has a better score.", note=True)
    columns = ("statements", "id", "score ± se", "later seeds", "seeds", "what it computes")
    yield table(columns, rows, text=("what it computes",))


def _points(scored: Scored, xs: np.ndarray, marked: np.ndarray) -> list[ChartPoint]:
    """Return what to draw: where there are very many, one of those in the same place."""
    kept = np.union1d(_apart(xs, scored.scores), marked).astype(np.int64)
    standing = set(marked.tolist())
    return [_point(scored, at, float(xs[at]), at in standing) for at in kept.tolist()]


def _apart(xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Return the positions of points that do not cover each other, the first of each place."""
    if len(xs) <= _MANY:
        return np.arange(len(xs))
    columns = np.floor((xs - xs.min()) / max(float(np.ptp(xs)), 1e-12) * _PLACES[0])
    low = np.maximum(ys, _LOWEST)
    rows = np.floor((low - low.min()) / max(float(np.ptp(low)), 1e-12) * _PLACES[1])
    return np.unique(columns * (_PLACES[1] + 1) + rows, return_index=True)[1]


def _point(scored: Scored, at: int, x: float, marked: bool) -> ChartPoint:
    id_, score, error = int(scored.ids[at]), float(scored.scores[at]), float(scored.errors[at])
    known = None if math.isnan(error) else error
    title = f"candidate {id_}: {score_text(score, known)}"
    return ChartPoint(
        x, score, title, known if marked else None, marked, f"#{id_}" if marked else ""
    )


def _in_full(run: Run, candidate: Candidate) -> Iterable[str]:
    yield heading(3, f"Candidate {candidate.id}", f"c{candidate.id}")
    rows = []
    for task, score in candidate.task_scores().items():
        measured = [m for m in candidate.measurements if m.task == task]
        rates = sorted({f"{m.lr:.2g} / {m.rest_lr:.2g}" for m in measured})
        edge = "at the grid's edge" if any(m.edge for m in measured) else ""
        rows.append((task, score_cell(score), str(len(measured)), ", ".join(rates), edge))
    columns = ("task", "score ± se", "seeds", "learning rate of matrices / rest", "")
    yield table(columns, rows, text=("task", "learning rate of matrices / rest", ""))
    yield code(str(candidate.program.renamed(candidate.name)))
    yield code(_equations(candidate, longest=None))
    ancestors = run.history.ancestors(candidate.id)
    yield paragraph("Where it comes from, and what every step changed:", note=True)
    rows = [
        (
            str(c.id),
            ", ".join(map(str, c.parents)),
            score_text(c.score, c.error),
            c.mutation,
            inline(change(run, c)),
        )
        for c in ancestors
    ]
    columns = ("id", "parents", "score ± se", "made by", "change")
    yield table(columns, rows, text=("made by", "change"))


def _equations(candidate: Candidate, longest: int | None = _EQUATIONS) -> str:
    from evosearch.language.latex import equations

    rules = (candidate.program.matrix, candidate.program.rest)
    names = ("", "") if rules[1] is None else ("matrices: ", "the rest: ")
    lines = [
        name + ("; " if longest else "\n" + " " * len(name)).join(map(str, equations(rule)))
        for name, rule in zip(names, rules, strict=True)
        if rule is not None
    ]
    text = "\n".join(lines)
    return text if longest is None or len(text) <= longest else text[:longest] + " ..."


def _mutations(run: Run) -> Iterable[str]:
    rows = [
        (name, f"{n.children:,}", f"{n.scored:,}", f"{n.better:,}", f"{n.better / n.children:.0%}")
        for name, n in yields(run).items()
    ]
    columns = ("mutation", "evaluated", "with a score", "above their parent", "share")
    yield table(columns, rows, text=("mutation",))
    yield paragraph(
        "Scores are noisy, and a parent is picked for a good one: the share is no gain by itself.",
        note=True,
    )


def _references(run: Run) -> Iterable[str]:
    rows = []
    for task, record in run.history.baselines.items():
        values = [v for v in record["values"] if v is not None]
        edge = "at the grid's edge" if record["edge"] else ""
        rows.append((task, _plain(mean_score(values)), str(len(values)), edge))
    columns = ("task", "end value of AdamW ± se", "seeds", "")
    yield table(columns, rows, text=("task", ""))
    for task, record in run.history.baselines.items():
        yield details(f"AdamW on {task}", record["program"])


def _plain(score: Score) -> str:
    return f"{score.mean:.4f}" + ("" if score.se is None else f" ± {score.se:.4f}")
