"""What a scale test showed, as its `result.json` keeps it and tables are made from it.

Means come with their standard errors, as pairs; an error is None with a single seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evosearch.storage.json_record import JsonRecord

__all__ = ["Correlation", "MeanAndError", "ScaleRow", "ScaleSummary", "SearchedTasks", "Speedup"]

MeanAndError = tuple[float, float | None]
"""A mean and its standard error."""


@dataclass(frozen=True)
class Speedup(JsonRecord):
    """AdamW's steps to a loss over an optimizer's."""

    value: float
    reached: bool
    """Whether the optimizer got there; if not, the share of AdamW's steps to where it ended."""
    interval: tuple[float | None, float | None] | None
    """Bootstrap over seeds, 95 %."""


@dataclass(frozen=True)
class SearchedTasks(JsonRecord):
    """What the search's score is of."""

    tasks: tuple[str, ...]
    unit: str
    """What the score is the logarithm of."""
    parameters: int
    """Of the largest task."""
    steps: int


@dataclass(frozen=True)
class Correlation(JsonRecord):
    """Spearman's, of the search's score and the test's, over the optimizers."""

    value: float | None
    """None with fewer than two optimizers."""
    interval: tuple[float | None, float | None] | None
    optimizers: int


@dataclass(frozen=True, kw_only=True)
class ScaleRow(JsonRecord):
    """One optimizer."""

    program: str
    baseline: bool
    tuning: tuple[tuple[float | None, ...], ...]
    """Each trial's constants, its learning rates of matrices and rest, and its level."""
    best: int
    """Position of the best trial."""
    edge: bool
    """Whether trials ran out beside it."""
    edges: tuple[str, ...] = ()
    """Which constants and rates that holds of; tests before November 2026 lack it."""
    curves: tuple[tuple[float | None, ...], ...]
    """Loss by seed and evaluation; None where not finite. Empty where it failed."""
    score: MeanAndError
    """Log of AdamW's excess loss over its own."""
    end: MeanAndError | None
    """None where it diverged."""
    difference: MeanAndError | None
    """Its end value minus AdamW's."""
    speedup: Mapping[str, Speedup]
    """By the share of AdamW's steps whose loss is the target."""
    search: MeanAndError | None
    """Score on the search's tasks; None without a search, or where it failed there."""
    search_scores: Mapping[str, tuple[float | None, ...]]
    """By task and seed."""


@dataclass(frozen=True, kw_only=True)
class ScaleSummary(JsonRecord):
    """A finished scale test."""

    task: str
    parameters: int
    steps: int
    search: SearchedTasks | None
    seed: int
    seeds: int
    tuning_seeds: int = 1
    """Tests before November 28, 2026 do not say: they had one."""
    trials: int
    """Each optimizer's allowance."""
    constants_tuned: bool = False
    core_seconds: float
    evaluated_after: tuple[int, ...]
    """Steps, of the curves."""
    optimizers: Mapping[str, ScaleRow]
    rank_correlation: Correlation
    look: int = 0
    """Which look at held-out tasks it was; 0 where none was noted."""
    versions: Mapping[str, str] = field(default_factory=dict)
