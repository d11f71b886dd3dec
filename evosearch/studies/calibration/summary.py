"""What a calibration says: figures with intervals, by source, by task, by pair."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from evosearch.storage.json_record import JsonRecord
from evosearch.studies.calibration.concordance import Concordance, Figure
from evosearch.studies.calibration.panel import Panel
from evosearch.studies.calibration.scoring import PanelScores
from evosearch.studies.statistics import Interval

__all__ = [
    "CalibrationSummary",
    "DecidedPair",
    "MisjudgedMember",
    "PanelCounts",
    "SourceFigures",
    "TaskFigures",
    "summarize",
]


@dataclass(frozen=True)
class PanelCounts(JsonRecord):
    """How large the panel is."""

    members: int
    decided: int
    """Pairs of members that published tests decide."""
    hard: int
    """Those of them that are within a family."""


@dataclass(frozen=True)
class SourceFigures(JsonRecord):
    """Agreement with the pairs that one publication decides."""

    source: str
    url: str
    pairs: int
    right: int
    share: float
    share_interval: Interval
    spearman: float
    spearman_interval: Interval


@dataclass(frozen=True)
class TaskFigures(JsonRecord):
    """Agreement of one task's scores alone."""

    task: str
    steps: int
    batch: int
    pairs: int
    right: int
    hard: int
    hard_right: int
    share: float
    share_interval: Interval
    hard_share_interval: Interval
    spearman: float
    spearman_interval: Interval
    seconds: Mapping[str, float]
    """A candidate's, of AdamW and of Muon."""
    members: Mapping[str, float]
    """Scores."""


@dataclass(frozen=True)
class MisjudgedMember(JsonRecord):
    """A member of pairs that the scores order wrongly."""

    member: str
    wrong: int
    pairs: int


@dataclass(frozen=True)
class DecidedPair(JsonRecord):
    """Two members of which published tests say which is better."""

    better: str
    worse: str
    sources: tuple[str, ...]
    hard: bool
    named: bool
    """Whether the panel names it as one that a proxy has to get right."""
    difference: float
    """Score of the better minus that of the worse."""
    right: bool
    right_held_out: bool
    """The same, with weights that were chosen without its families."""


@dataclass(frozen=True)
class CalibrationSummary(JsonRecord):
    """All figures of a preset's scores; `held_out` and plain names are with families left out."""

    members: Mapping[str, float]
    """Scores."""
    order: tuple[str, ...]
    """Members by what is published, best first."""
    fitted_spearman: float
    fitted_spearman_interval: Interval
    held_out_spearman: float
    held_out_spearman_interval: Interval
    decided_pairs: float
    """The share that is in order."""
    decided_pairs_interval: Interval
    decided_pairs_fitted: float
    decided_pairs_fitted_interval: Interval
    hard_pairs: float
    hard_pairs_interval: Interval
    hard_pairs_fitted: float
    hard_pairs_fitted_interval: Interval
    kendall: float
    counts: PanelCounts
    sources: tuple[SourceFigures, ...]
    tasks: tuple[TaskFigures, ...]
    weights_with_a_family_left_out: Mapping[str, tuple[float, ...]]
    misjudged: tuple[MisjudgedMember, ...]
    """Most often first."""
    map: tuple[TaskFigures, ...]
    """Other tasks, each alone."""
    scale_spearman: float | None
    """Rank correlation with a longer test of our own; None where there is none."""
    scale_spearman_interval: Interval | None
    scale: tuple[TaskFigures, ...] | None
    pairs: tuple[DecidedPair, ...]


def summarize(
    found: Mapping[str, PanelScores],
    panel: Panel,
    *,
    others: Mapping[str, PanelScores] = MappingProxyType({}),
    scale: Mapping[str, PanelScores] = MappingProxyType({}),
) -> CalibrationSummary:
    """Return all figures of a preset's scores.

    Args:
        found: The preset's tasks.
        panel: Members and decided pairs.
        others: Tasks that are shown beside them, each alone.
        scale: A longer test of our own, for the rank correlation with it.
    """
    whole = Concordance(found, panel)
    truth = whole.truth
    pairs = _pairs(whole, panel)
    order = sorted(zip(truth.levels, truth.members, strict=True), reverse=True)
    share, share_held_out = whole.share(), whole.held_out_share()
    hard, hard_held_out = whole.share(hard=True), whole.held_out_share(hard=True)
    fitted, held_out = whole.spearman(), whole.held_out_spearman()
    longer = whole.agreement(Concordance(scale, panel)) if scale else None
    return CalibrationSummary(
        members={m: round(v, 4) for m, v in whole.totals.items()},
        order=tuple(name for level, name in order if math.isfinite(level)),
        fitted_spearman=round(fitted.value, 4),
        fitted_spearman_interval=_interval(fitted),
        held_out_spearman=round(held_out.value, 4),
        held_out_spearman_interval=_interval(held_out),
        decided_pairs=round(share_held_out.value, 4),
        decided_pairs_interval=_interval(share_held_out),
        decided_pairs_fitted=round(share.value, 4),
        decided_pairs_fitted_interval=_interval(share),
        hard_pairs=round(hard_held_out.value, 4),
        hard_pairs_interval=_interval(hard_held_out),
        hard_pairs_fitted=round(hard.value, 4),
        hard_pairs_fitted_interval=_interval(hard),
        kendall=round(2 * round(share.value, 4) - 1, 4),
        counts=PanelCounts(len(truth.members), len(pairs), int(truth.hard.sum())),
        sources=tuple(_source(found, panel, source) for source in panel.sources),
        tasks=tuple(_task(task, panel) for task in found.values()),
        weights_with_a_family_left_out={k: tuple(v) for k, v in whole.chosen().items()},
        misjudged=_misjudged(pairs),
        map=tuple(_task(task, panel) for key, task in others.items() if key not in found),
        scale_spearman=None if longer is None else round(longer.value, 4),
        scale_spearman_interval=None if longer is None else _interval(longer),
        scale=tuple(_task(task, panel) for task in scale.values()) if scale else None,
        pairs=pairs,
    )


def _interval(figure: Figure) -> Interval:
    low, high = figure.interval
    return round(low, 4), round(high, 4)


def _pairs(whole: Concordance, panel: Panel) -> tuple[DecidedPair, ...]:
    """Return every decided pair, and whether the scores order it as it was decided."""
    truth, totals = whole.truth, whole.totals
    return tuple(
        DecidedPair(
            better=pair.better,
            worse=pair.worse,
            sources=tuple(pair.sources),
            hard=bool(hard),
            named=(pair.better, pair.worse) in panel.named,
            difference=round(totals[pair.better] - totals[pair.worse], 4),
            right=bool(right),
            right_held_out=bool(held),
        )
        for pair, hard, right, held in zip(
            truth.pairs, truth.hard, whole.hits(), whole.held_out_hits(), strict=True
        )
    )


def _source(found: Mapping[str, PanelScores], panel: Panel, source: str) -> SourceFigures:
    part = Concordance(found, panel, panel.of(source))
    share, rank = part.share(), part.spearman()
    return SourceFigures(
        source=source,
        url=panel.sources[source],
        pairs=len(part.truth.pairs),
        right=int(sum(part.hits())),
        share=round(share.value, 4),
        share_interval=_interval(share),
        spearman=round(rank.value, 4),
        spearman_interval=_interval(rank),
    )


def _task(task: PanelScores, panel: Panel) -> TaskFigures:
    """Return one task's own concordance."""
    alone = Concordance({task.task: task}, panel)
    share, rank, hard = alone.share(), alone.spearman(), alone.share(hard=True)
    seconds = {
        name: round(float(np.mean([m.seconds for m in task.members[name]])), 2)
        for name in ("adamw", "muon")
        if name in task.members
    }
    return TaskFigures(
        task=task.task,
        steps=task.steps,
        batch=task.batch,
        pairs=len(alone.truth.pairs),
        right=int(sum(alone.hits())),
        hard=int(alone.truth.hard.sum()),
        hard_right=int(sum(np.array(alone.hits())[alone.truth.hard])),
        share=round(share.value, 4),
        share_interval=_interval(share),
        hard_share_interval=_interval(hard),
        spearman=round(rank.value, 4),
        spearman_interval=_interval(rank),
        seconds=seconds,
        members={m: round(v, 4) for m, v in alone.totals.items()},
    )


def _misjudged(pairs: Sequence[DecidedPair]) -> tuple[MisjudgedMember, ...]:
    """Return who is in a wrong pair, most often first."""
    tally: dict[str, list[int]] = {}
    for pair in pairs:
        for name in (pair.better, pair.worse):
            counts = tally.setdefault(name, [0, 0])
            counts[0] += not pair.right
            counts[1] += 1
    worst = sorted(tally.items(), key=lambda item: (-item[1][0], item[1][1]))
    return tuple(MisjudgedMember(m, wrong, n) for m, (wrong, n) in worst if wrong)
