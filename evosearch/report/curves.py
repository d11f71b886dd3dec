"""Training curves of a candidate and its baselines, computed on request and kept in the run.

An archive has end values only. Here each optimizer's learning rates are tuned on the run's own
grid, on seeds that the search did not use, and its best lanes are trained once more with a look at
the validation metric on the way.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from evosearch.runs.svg import ChartAxis, ChartLine, chart

if TYPE_CHECKING:
    from evosearch.config.schema import Config
    from evosearch.runs.candidate import Candidate
    from evosearch.runs.run import Run
    from evosearch.training.job import TaskRef

__all__ = [
    "Curve",
    "curve_chart",
    "read_curves",
    "sensitivity_chart",
    "train_curve",
    "train_curves",
]

FOLDER: Final = "curves"
"""The folder of a run where they are kept, a file for each candidate."""
BASELINES: Final = ("lion", "muon")
"""Whom a candidate is shown beside, besides the run's own AdamW."""
SEEDS: Final = 3
_FIRST: Final = 1_000_000
"""The first replicate: no search has so many."""
_LOOKS: Final = 40


@dataclass(frozen=True)
class Curve:
    """An optimizer's validation metric on a task while it trains, at its best learning rates."""

    label: str
    task: str
    metric: str
    lr: float
    rest_lr: float
    steps: tuple[int, ...]
    values: tuple[tuple[float | None, ...], ...]
    """For each of the steps the metric of each seed; None where it was not finite."""
    rates: tuple[tuple[float, float | None], ...]
    """Learning rates of the matrices, and the best mean end value at each; None: diverged."""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return what `dataclasses.asdict` made of one, after JSON."""
        rows = tuple(tuple(row) for row in data["values"])
        rates = tuple((rate, value) for rate, value in data["rates"])
        return cls(**{**data, "steps": tuple(data["steps"]), "values": rows, "rates": rates})

    def means(self) -> list[tuple[float, float]]:
        """Return the mean over seeds at each step where all were finite."""
        rows = zip(self.steps, self.values, strict=True)
        return [
            (float(step), math.fsum(v for v in row if v is not None) / len(row))
            for step, row in rows
            if None not in row
        ]

    def spread(self) -> list[tuple[float, float, float]]:
        """Return the least and the greatest over seeds at each step where all were finite."""
        rows = zip(self.steps, self.values, strict=True)
        finite = [(step, [v for v in row if v is not None], row) for step, row in rows]
        return [(float(s), min(v), max(v)) for s, v, row in finite if len(v) == len(row)]


def train_curves(
    run: Run, candidate: Candidate, report: Callable[[str], None] = lambda _: None
) -> list[Curve]:
    """Train a candidate and its baselines on all tasks of a run, and keep what comes out.

    Args:
        run: The run, whose grid of learning rates and baselines count.
        candidate: One of its candidates.
        report: Is told what is trained next.

    Raises:
        DataError: A task fails.
        OSError: The result cannot be kept.
    """
    from evosearch.language.known import known
    from evosearch.storage.atomic_write import write_atomic

    config = run.config
    curves: list[Curve] = []
    for ref in (ref for tier in config.tiers_of_tasks() for ref in tier):
        entries = [(f"#{candidate.id}", candidate.program_text)]
        if (baseline := run.history.baselines.get(str(ref))) is not None:
            entries.append(("AdamW", baseline.program))
        entries += [(name.capitalize(), str(known(name))) for name in BASELINES]
        for label, text in entries:
            report(f"training {label} on {ref.name}")
            curve = train_curve(label, text, ref, config)
            curves += [curve] if curve else []
    folder = run.directory / FOLDER
    folder.mkdir(exist_ok=True)
    kept = {"program": candidate.program_text, "curves": [asdict(curve) for curve in curves]}
    write_atomic(folder / f"{candidate.id}.json", json.dumps(kept, allow_nan=False) + "\n")
    return curves


def read_curves(run: Run, candidate: Candidate) -> list[Curve]:
    """Return the curves that were kept of a candidate; none where there are none."""
    path: Path = run.directory / FOLDER / f"{candidate.id}.json"
    try:
        kept = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return []
    if kept["program"] != candidate.program_text:  # of another run of that name
        return []
    return [Curve.from_json(data) for data in kept["curves"]]


def curve_chart(curves: Sequence[Curve]) -> str:
    """Return the curves of one task, from where the slowest of them has an eighth of its steps."""
    whole = [(curve, means) for curve in curves if (means := curve.means())]
    high = max((means[len(means) // 8][1] for _, means in whole), default=0.0)
    lines: list[ChartLine] = []
    for number, (curve, means) in enumerate(whole, start=1):
        begin = next((step for step, value in means if value <= high), 0.0)
        line = [(step, value) for step, value in means if step >= begin]
        band = [(step, low, min(top, high)) for step, low, top in curve.spread() if step >= begin]
        lines.append(ChartLine(line, curve.label, f"c{min(number, 5)}", band=band))
    return chart(ChartAxis("step", low=0.0), _metric(curves, high), (), lines)


def sensitivity_chart(curves: Sequence[Curve]) -> str:
    """Return each optimizer's best end value over the learning rate, in multiples of its best."""
    lines: list[ChartLine] = []
    for number, curve in enumerate(curves, start=1):
        points = [
            (rate / curve.lr, value) for rate, value in curve.rates if value is not None and rate
        ]
        lines.append(ChartLine(points, curve.label, f"c{min(number, 5)}"))
    values = sorted(v for line in lines for _, v in line.points)
    high = values[int(0.8 * (len(values) - 1))] if values else None
    return chart(ChartAxis("learning rate / its best", log=True), _metric(curves, high), (), lines)


def _metric(curves: Sequence[Curve], high: float | None) -> ChartAxis:
    """Return the axis of a task's metric; its unit has no room there."""
    lowest = min((low for curve in curves for _, low, _ in curve.spread()), default=0.0)
    # Of a loss that falls to a fraction the end, which counts, would be a flat line at the bottom.
    log = high is not None and 0 < 4 * lowest < high
    return ChartAxis(curves[0].metric.partition(" (")[0] if curves else "", log=log, high=high)


def train_curve(label: str, text: str, ref: TaskRef, config: Config) -> Curve | None:
    """Tune the learning rates and train at the best; None where the optimizer fails.

    Args:
        label: What to call it.
        text: Its program.
        ref: The task.
        config: Whose grid of learning rates and seed count.
    """
    from evosearch.errors import DataError
    from evosearch.training.evaluate import compile_text, evaluate_baseline
    from evosearch.training.lanes import Entry, LearningRates, train
    from evosearch.training.problem import Problem
    from evosearch.training.seeds import evaluation_seed
    from proxy_tasks.registry import get

    replicates = range(_FIRST, _FIRST + SEEDS)
    seed = config.seed
    try:
        tuned = evaluate_baseline(text, ref, replicates, seed, config.evaluation.grid())
    except DataError:
        return None
    task = get(ref.name, **ref.overrides)
    problem = Problem.of(task, [evaluation_seed(seed, str(ref), r) for r in replicates])
    best = tuned.trials[0][tuned.best]
    steps, values = list[int](), list[tuple[float | None, ...]]()
    every = max(1, task.steps // _LOOKS)

    def look(step: int, weights: Any) -> None:
        if step % every == 0 or step == task.steps:
            found = task.evaluate(weights, problem.validation).double().tolist()
            steps.append(step)
            values.append(tuple(v if math.isfinite(v) else None for v in found))

    entry = Entry(compile_text(text), (LearningRates(best.lr, best.rest_lr),))
    (result,) = train(problem, [entry], look)
    if isinstance(result, Exception):
        return None
    ends: dict[float, list[float]] = {}
    for i, trial in enumerate(tuned.trials[0]):
        column = [row[i].value for row in tuned.trials]
        known = [v for v in column if v is not None]
        mean = math.fsum(known) / len(column) if len(known) == len(column) else math.inf
        ends.setdefault(trial.lr, []).append(mean)
    least = {rate: min(means) for rate, means in sorted(ends.items())}
    rates = tuple((r, v if math.isfinite(v) else None) for r, v in least.items())
    return Curve(
        label, ref.name, task.metric, best.lr, best.rest_lr, tuple(steps), tuple(values), rates
    )
