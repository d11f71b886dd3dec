"""Concordance of scores with what is known at scale: in how many pairs, and how surely.

A preset's score is the mean over its tasks. What it would be worth on optimizers that took no part
in its making is estimated by leaving families out: the weights of tasks are chosen on the pairs of
the other families, and the family that was left out is predicted with them. Intervals are of the
bootstrap over optimizers and over seeds at once; a learning rate between two that were tried may be
better than both, so a draw moves each score by a random part of what a parabola through them gains.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Final

import numpy as np

from evosearch.studies.calibration.panel import Pair, Panel, levels
from evosearch.studies.calibration.scoring import MemberScores, PanelScores
from evosearch.studies.statistics import spearman
from evosearch.training.score import BOUND, log_excess

__all__ = ["Concordance", "Figure"]

_DRAWS: Final = 200
_WEIGHTS: Final = (0.0, 1.0, 2.0)
"""What a task may count: weights are few, or they would learn the panel by heart."""


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % interval."""

    value: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class _Truth:
    """What scores are compared with."""

    members: tuple[str, ...]
    families: tuple[str, ...]
    """Of each member."""
    pairs: tuple[Pair, ...]
    better: np.ndarray
    worse: np.ndarray
    """Positions of each pair's members."""
    hard: np.ndarray
    levels: np.ndarray
    """One order of the members; NaN for whom nothing is known."""

    @classmethod
    def of(cls, panel: Panel, members: Sequence[str], pairs: Sequence[Pair]) -> _Truth:
        kept = tuple(p for p in pairs if p.better in members and p.worse in members)
        at = {name: i for i, name in enumerate(members)}
        order = levels(members, kept, panel.near)
        return cls(
            tuple(members),
            tuple(map(panel.family, members)),
            kept,
            np.array([at[p.better] for p in kept], dtype=int),
            np.array([at[p.worse] for p in kept], dtype=int),
            np.array([panel.hard(p) for p in kept], dtype=bool),
            np.array([order.get(name, math.nan) for name in members]),
        )


class Concordance:
    """The panel's scores on a preset's tasks beside the truth."""

    def __init__(
        self, found: Mapping[str, PanelScores], panel: Panel, pairs: Sequence[Pair] | None = None
    ) -> None:
        """Take the scores of all members that every task has.

        Args:
            found: Scores by task.
            panel: Members and decided pairs.
            pairs: Those of one source; all of the panel unless given.
        """
        self.tasks = tuple(found)
        self._found = found
        common = [m for m in panel.members if all(m in task.members for task in found.values())]
        self.truth = _Truth.of(panel, common, panel.pairs if pairs is None else pairs)

    @cached_property
    def scores(self) -> np.ndarray:
        """Scores (members, tasks), the mean over seeds and evaluations."""
        return self._drawn(None)

    @property
    def totals(self) -> dict[str, float]:
        """The preset's score of each member: the mean over its tasks."""
        return dict(zip(self.truth.members, map(float, self.scores.mean(1)), strict=True))

    def share(self, hard: bool = False) -> Figure:
        """Return the share of decided pairs, or of the hard ones, that scores order rightly."""
        at = self.truth.hard if hard else np.ones(len(self.truth.pairs), dtype=bool)
        return self._estimate(
            lambda scores, drawn: _share(self._hits(scores.mean(1)), self._counts(drawn), at)
        )

    def held_out_share(self, hard: bool = False) -> Figure:
        """Return the same where both members' families took no part in choosing weights."""
        at = self.truth.hard if hard else np.ones(len(self.truth.pairs), dtype=bool)

        def held_out(scores: np.ndarray, drawn: np.ndarray) -> float:
            counts = self._counts(drawn)
            return _share(self._held_out_hits(scores, counts), counts, at)

        return self._estimate(held_out)

    def spearman(self) -> Figure:
        """Return the rank correlation of scores with the panel's order."""
        return self._estimate(lambda scores, drawn: self._spearman(scores.mean(1), drawn))

    def held_out_spearman(self) -> Figure:
        """Return the same of predictions with each member's family left out, pooled."""

        def held_out(scores: np.ndarray, drawn: np.ndarray) -> float:
            predictions = self._held_out_predictions(scores, self._counts(drawn))
            return self._spearman(predictions, drawn)

        return self._estimate(held_out)

    def agreement(self, other: Concordance) -> Figure:
        """Return the rank correlation with other scores, over the members that both have."""
        names = [name for name in self.truth.members if name in other.truth.members]
        mine, theirs = (
            [members.index(name) for name in names]
            for members in (self.truth.members, other.truth.members)
        )
        random = np.random.default_rng(2)

        def rank(a: np.ndarray, b: np.ndarray, drawn: np.ndarray) -> float:
            first, second = a.mean(1)[mine][drawn], b.mean(1)[theirs][drawn]
            found = spearman(first.tolist(), second.tolist())
            return math.nan if found is None else found

        value = rank(self.scores, other.scores, np.arange(len(names)))
        return _estimate(
            value,
            [
                rank(a, b, random.integers(len(names), size=len(names)))
                for a, b in zip(self._draws, other._draws, strict=True)
            ],
        )

    def hits(self) -> list[bool]:
        """Return whether each decided pair is ordered rightly."""
        return [bool(hit) for hit in self._hits(self.scores.mean(1))]

    def held_out_hits(self) -> list[bool]:
        """Return the same with both families left out."""
        ones = np.ones(len(self.truth.pairs))
        return [bool(hit) for hit in self._held_out_hits(self.scores, ones)]

    def chosen(self) -> dict[str, tuple[float, ...]]:
        """Return the weights of tasks that are chosen with each family left out."""
        ones = np.ones(len(self.truth.pairs))
        return {
            family: tuple(map(float, self._weights(self.scores, ones, {family})))
            for family in dict.fromkeys(self.truth.families)
        }

    def _hits(self, totals: np.ndarray) -> np.ndarray:
        return totals[self.truth.better] > totals[self.truth.worse]

    def _counts(self, drawn: np.ndarray) -> np.ndarray:
        """Return how often each pair counts where each member was drawn so often."""
        return (drawn[self.truth.better] * drawn[self.truth.worse]).astype(float)

    def _spearman(self, totals: np.ndarray, drawn: np.ndarray) -> float:
        """Return the rank correlation, each member as often as it was drawn."""
        order, found_order = np.repeat(self.truth.levels, drawn), np.repeat(totals, drawn)
        known = np.isfinite(order)
        if not known.any():
            return math.nan
        found = spearman(found_order[known].tolist(), order[known].tolist())
        return math.nan if found is None else found

    def _weights(self, scores: np.ndarray, counts: np.ndarray, families: set[str]) -> np.ndarray:
        """Return the weights that order most pairs without these families.

        Of equals, those that order most of the hard ones, then those nearest to equal weights.
        """
        truth = self.truth
        out = np.array([family in families for family in truth.families])
        kept = counts * ~(out[truth.better] | out[truth.worse])
        options = _options(len(self.tasks))
        totals = scores @ options.T
        hits = totals[truth.better] > totals[truth.worse]
        right, hard = kept @ hits, (kept * truth.hard) @ hits
        spread = options.std(1)
        best = max(range(len(options)), key=lambda i: (right[i], hard[i], -spread[i]))
        return options[best]

    def _held_out_hits(self, scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
        truth = self.truth
        chosen: dict[frozenset[str], np.ndarray] = {}
        hits = np.zeros(len(truth.pairs), dtype=bool)
        for k, (b, w) in enumerate(zip(truth.better, truth.worse, strict=True)):
            families = frozenset((truth.families[b], truth.families[w]))
            if families not in chosen:
                chosen[families] = scores @ self._weights(scores, counts, set(families))
            hits[k] = chosen[families][b] > chosen[families][w]
        return hits

    def _held_out_predictions(self, scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
        predictions = np.zeros(len(scores))
        for family in dict.fromkeys(self.truth.families):
            members = [i for i, f in enumerate(self.truth.families) if f == family]
            weights = self._weights(scores, counts, {family})
            predictions[members] = scores[members] @ weights
        return predictions

    def _estimate(self, statistic: Callable[[np.ndarray, np.ndarray], float]) -> Figure:
        """Return a statistic of scores and of how often each member was drawn."""
        random, n = np.random.default_rng(0), len(self.truth.members)
        value = statistic(self.scores, np.ones(n, dtype=int))
        draws = [
            statistic(scores, np.bincount(random.integers(n, size=n), minlength=n))
            for scores in self._draws
        ]
        return _estimate(value, draws)

    @cached_property
    def _draws(self) -> list[np.ndarray]:
        random = np.random.default_rng(1)
        return [self._drawn(random) for _ in range(_DRAWS)]

    def _drawn(self, random: np.random.Generator | None) -> np.ndarray:
        """Return scores (members, tasks) as measured, or of a draw of seeds and of rates."""
        columns = []
        for task in self._found.values():
            rounds = []
            for r, baseline in enumerate(task.baseline):
                n = len(baseline)
                at = np.arange(n) if random is None else random.integers(n, size=n)
                rounds.append(
                    [_score(self._curve(task, m, r), task, at, random) for m in self.truth.members]
                )
            columns.append(np.mean(rounds, axis=0))
        return np.stack(columns, axis=1)

    def _curve(self, task: PanelScores, member: str, round: int) -> _Curve:
        key = (task.task, member, round)
        if key not in self._curves:
            found = task.members[member][round]
            baseline = np.array([log_excess(v, task.floor) for v in task.baseline[round]])
            self._curves[key] = _Curve.of(found, task.floor, baseline)
        return self._curves[key]

    @cached_property
    def _curves(self) -> dict[tuple[str, str, int], _Curve]:
        return {}


@dataclass(frozen=True)
class _Curve:
    """Log excess over the learning rates of one evaluation."""

    levels: np.ndarray
    """Of each trial and seed, the baseline's taken off."""
    neighbours: tuple[tuple[int, int] | None, ...]
    """Of each trial: those with the next smaller and larger rate at the same ratio."""
    log_lr: np.ndarray

    @classmethod
    def of(cls, found: MemberScores, floor: float, baseline: np.ndarray) -> _Curve:
        values = [[log_excess(v, floor) for v in row] for row in found.values]
        trials = len(found.lrs)
        levels = np.array(values).reshape(trials, len(baseline)) - baseline
        order = sorted(range(trials), key=lambda i: (found.ratios[i], found.lrs[i]))
        near: list[tuple[int, int] | None] = [None] * trials
        for a, b, c in zip(order, order[1:], order[2:], strict=False):
            if found.ratios[a] == found.ratios[b] == found.ratios[c]:
                near[b] = (a, c)
        return cls(levels, tuple(near), np.log(np.array(found.lrs)))


def _score(
    curve: _Curve, task: PanelScores, at: np.ndarray, random: np.random.Generator | None
) -> float:
    part = 0.0 if random is None else float(random.random())
    if not len(curve.levels):
        return -BOUND
    means = curve.levels[:, at].mean(1)
    best = int(np.argmin(means))
    gain = _gain(curve, means, best) if random is not None else 0.0
    score = (-means[best] + part * gain) / task.elasticity
    return float(min(max(score, -BOUND), BOUND))


def _gain(curve: _Curve, means: np.ndarray, best: int) -> float:
    """Return how far a parabola through the best trial and its neighbours dips below it."""
    near = curve.neighbours[best]
    if near is None:
        return 0.0
    (a, ya), (b, yb) = (
        (float(curve.log_lr[k] - curve.log_lr[best]), float(means[k] - means[best])) for k in near
    )
    square = (yb / b - ya / a) / (b - a)
    slope = ya / a - square * a
    return slope**2 / (4 * square) if square > 0 else 0.0


def _estimate(value: float, draws: Sequence[float]) -> Figure:
    finite = [x for x in draws if math.isfinite(x)]
    low, high = np.percentile(finite, (2.5, 97.5)) if finite else (math.nan, math.nan)
    return Figure(float(value), (float(low), float(high)))


def _share(hits: np.ndarray, counts: np.ndarray, at: np.ndarray) -> float:
    total = float((counts * at).sum())
    return float((counts * at * hits).sum()) / total if total else math.nan


def _options(tasks: int) -> np.ndarray:
    """Return what the weights of so many tasks may be, each of sum one."""
    found = {tuple(np.array(w) / sum(w)) for w in product(_WEIGHTS, repeat=tasks) if sum(w)}
    return np.array(sorted(found))
