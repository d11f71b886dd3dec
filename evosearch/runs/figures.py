"""Figures of a run, one function each: SVG text that a page or a notebook shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from evosearch.runs.candidate import Candidate
from evosearch.runs.front import COSTS, Scored
from evosearch.runs.progress import score_text
from evosearch.runs.svg import ChartAxis, ChartLine, ChartPoint, chart, intervals
from evosearch.training.score import Score, mean_score

if TYPE_CHECKING:
    from evosearch.runs.run import Run

__all__ = [
    "first_and_later",
    "front_chart",
    "population_chart",
    "rate_chart",
    "search_chart",
    "task_chart",
]

_LOWEST: Final = -1.0
"""Worse candidates lie on the lower edge."""
_MANY: Final = 2500
"""Points that a chart draws all of."""
_PLACES: Final = (140, 80)
"""Columns and rows of a chart's places where it draws one point each, of very many."""
_WINDOWS: Final = 24
_SCORE: Final = ChartAxis("score", low=_LOWEST, level=0.0)


def front_chart(scored: Scored, by: str = "statements", best: int | None = None) -> str:
    """Return the scores of candidates over what they take, with the front as a line.

    Args:
        scored: Candidates that were evaluated on the same tasks (`Scored.whole`).
        by: What they take, one of `COSTS`.
        best: The candidate that stands out.
    """
    marked = scored.front(by)
    steps = [(float(scored.costs[by][at]), float(scored.scores[at])) for at in marked]
    log = by == "cost" and len(scored) > 0 and bool(scored.costs[by].min() > 0)
    points = _points(scored, scored.costs[by], marked, best)
    line = ChartLine(steps, "best for its size or less", "c3", steps=True)
    axis = ChartAxis(COSTS[by], log=log)
    return chart(axis, _SCORE, points, [line] if steps else [])


def search_chart(scored: Scored, ancestors: Sequence[Candidate]) -> str:
    """Return the scores of candidates in the order of their evaluation.

    Args:
        scored: Candidates that were evaluated on the same tasks.
        ancestors: The one that stands out, and what it descends from: its descent is a line.
    """
    leads = scored.leads()
    steps = [(float(scored.ids[at]), float(scored.scores[at])) for at in leads]
    if len(scored):
        steps.append((float(scored.ids[-1]), float(scored.scores[leads[-1]])))
    known = set(scored.ids.tolist())
    by_id = {c.id: c for c in ancestors}
    descent: list[tuple[float, float]] = []
    at = ancestors[0] if ancestors else None
    while at is not None:
        if at.id in known and at.score is not None:
            descent.append((float(at.id), at.score))
        at = by_id.get(at.parents[0]) if at.parents else None
    lines = [ChartLine(steps, "best so far", "c3", steps=True)] if steps else []
    if len(descent) > 1:
        lines.append(ChartLine(descent[::-1], f"descent of #{ancestors[0].id}", "c1 dash"))
    best = ancestors[0].id if ancestors else None
    drawn = np.array([i for i, id_ in enumerate(scored.ids.tolist()) if id_ in by_id], np.int64)
    points = _points(scored, scored.ids, drawn, best, labels=False)
    return chart(ChartAxis("candidates evaluated", low=0.0), _SCORE, points, lines)


def population_chart(scored: Scored) -> str:
    """Return how the scores of the candidates of a time are spread, and how that changed."""
    groups = np.array_split(np.arange(len(scored)), max(1, min(_WINDOWS, len(scored) // 8)))
    rows: list[tuple[float, list[float]]] = []
    for group in groups:
        if len(group):
            quantiles = np.quantile(np.maximum(scored.scores[group], _LOWEST), (0.1, 0.5, 0.9, 1.0))
            rows.append((float(scored.ids[group].mean()), [float(q) for q in quantiles]))
    middle = [(x, q[1]) for x, q in rows]
    band = [(x, q[0], q[2]) for x, q in rows]
    lines = [
        ChartLine(middle, "median, and 80 % of them", "c2", band=band),
        ChartLine([(x, q[3]) for x, q in rows], "best of its time", "c3"),
    ]
    return chart(ChartAxis("candidates evaluated", low=0.0), _SCORE, (), lines if rows else [])


def task_chart(first: dict[str, Score], later: dict[str, Score]) -> str:
    """Return a candidate's score on each task with two standard errors to each side.

    Args:
        first: On the seeds that picked it.
        later: On seeds that did not.
    """
    rows: list[tuple[str, list[ChartPoint]]] = []
    for task in {**first, **later}:
        pairs = ((first, "point", "seeds that picked it"), (later, "front", "fresh seeds"))
        points = [
            ChartPoint(s.mean, 0, f"{task}, {name}: {score_text(s.mean, s.se)}", s.se, kind)
            for scores, kind, name in pairs
            if (s := scores.get(task))
        ]
        rows.append((task.partition("[")[0], points))
    return intervals("score against AdamW, ± 2 standard errors", rows)


def rate_chart(metric: str, trials: dict[str, Any], reference: float | None) -> str:
    """Return the end values of a candidate's trainings on one task over the learning rate.

    The line is the best ratio of the other parameters' rate at each rate of the matrices, the mean
    over seeds; points are single trainings.

    Args:
        metric: What the values are.
        trials: Columns `learning_rate`, `rest_learning_rate`, `value` of the table of evaluations.
        reference: The mean end value of AdamW.
    """
    rates, rests, values = (np.array(trials[name], float) for name in _TRIAL)
    positive = rates > 0
    lost = int(np.isnan(values[positive]).sum())
    kept = positive & ~np.isnan(values)
    rates, rests, values = rates[kept], rests[kept], values[kept]
    if not len(rates):
        return chart(ChartAxis(""), ChartAxis(""))
    ceiling = (
        float(np.quantile(values, 0.85))
        if reference is None
        else max(float(np.quantile(values, 0.6)), reference)
    )
    top = ceiling + 0.25 * (ceiling - float(values.min()))
    points = [
        ChartPoint(r, v, f"rate {r:.2g}, of the rest {q:.2g}: {v:.4g}")
        for r, q, v in zip(rates.tolist(), rests.tolist(), values.tolist(), strict=True)
    ]
    best: list[tuple[float, float]] = []
    for rate in np.unique(rates):
        at = rates == rate
        means = [float(values[at & (rests == q)].mean()) for q in np.unique(rests[at])]
        best.append((float(rate), min(means)))
    lines = [ChartLine(best, "best at this rate", "c1")]
    if reference is not None:
        ends = (float(rates.min()), float(rates.max()))
        lines.append(ChartLine([(x, reference) for x in ends], "AdamW", "c2 dash"))
    label = "learning rate of hidden matrices" + (f" ({lost} diverged)" if lost else "")
    return chart(ChartAxis(label, log=True), ChartAxis(metric, high=top), points, lines)


_TRIAL: Final = ("learning_rate", "rest_learning_rate", "value")


def first_and_later(run: Run, candidate: Candidate) -> tuple[dict[str, Score], dict[str, Score]]:
    """Return a candidate's scores by task on the seeds that picked it, and on later ones."""
    seeds = run.manifest["config"]["evaluation"]["seeds"]
    found: tuple[dict[str, list[float]], dict[str, list[float]]] = ({}, {})
    for measurement in candidate.measurements:
        scores = found[measurement.replicate >= seeds]
        scores.setdefault(measurement.task, []).append(measurement.score)
    first, later = ({task: mean_score(v) for task, v in scores.items()} for scores in found)
    return first, later


def _points(
    scored: Scored,
    xs: np.ndarray,
    marked: np.ndarray,
    best: int | None,
    *,
    labels: bool = True,
) -> list[ChartPoint]:
    """Return what to draw: where there are very many, one of those in the same place."""
    standing = set(marked.tolist())
    kept = np.union1d(_apart(xs, scored.scores), marked).astype(np.int64).tolist()
    if best is not None:
        kept = sorted({*kept, *np.flatnonzero(scored.ids == best).tolist()})
    points = [_point(scored, at, float(xs[at]), at in standing, best) for at in kept]
    if labels:
        return points
    return [p if p.key == best else replace(p, label="") for p in points]


def _apart(xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Return the positions of points that do not cover each other, the first of each place."""
    if len(xs) <= _MANY:
        return np.arange(len(xs))
    columns = np.floor((xs - xs.min()) / max(float(np.ptp(xs)), 1e-12) * _PLACES[0])
    low = np.maximum(ys, _LOWEST)
    rows = np.floor((low - low.min()) / max(float(np.ptp(low)), 1e-12) * _PLACES[1])
    return np.unique(columns * (_PLACES[1] + 1) + rows, return_index=True)[1]


def _point(scored: Scored, at: int, x: float, marked: bool, best: int | None) -> ChartPoint:
    id_, score, error = int(scored.ids[at]), float(scored.scores[at]), float(scored.errors[at])
    known = None if math.isnan(error) else error
    again = bool(scored.rounds[at] > 1)
    size, memory, cost = (float(scored.costs[name][at]) for name in COSTS)
    title = (
        f"#{id_}  {score_text(score, known)}{'' if again else ', seen once'}\n"
        f"{size:g} statements, state {memory:g}, {cost:.3g} operations"
    )
    kind = "best" if id_ == best else ("front" if again else "once") if marked else "point"
    label = f"#{id_}" if kind != "point" else ""
    return ChartPoint(x, score, title, known if kind != "point" else None, kind, label, id_)
