"""What a scale test shows: speed-ups over tuned AdamW, end values, and how well scores transfer.

Seeds are paired. Intervals are percentiles of the bootstrap, over seeds for a speed-up and over
optimizers for the rank correlation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from evosearch.config.schema import Config
from evosearch.errors import EvosearchError
from evosearch.studies.scale.lr_search import TaskScores, largest
from evosearch.studies.scale.protocol import BASELINES, Contestant, ScaleTest
from evosearch.studies.scale.statistics import bootstrap, speedup
from evosearch.studies.scale.summary import (
    Correlation,
    MeanAndError,
    ScaleRow,
    ScaleSummary,
    SearchedTasks,
    Speedup,
)
from evosearch.studies.scale.table import REFERENCE
from evosearch.studies.statistics import spearman
from evosearch.training.score import Score, combine, mean_score, paired
from evosearch.training.seeds import derive
from evosearch.training.tuner import Place

__all__ = ["searched", "summarize"]


def summarize(
    test: ScaleTest,
    contestants: Mapping[str, Contestant],
    search: Mapping[str, TaskScores],
    small: Config | None,
    at: Sequence[float] = (1.0,),
) -> ScaleSummary:
    """Return what a finished test showed.

    Args:
        test: What was compared.
        contestants: By label, with all lanes trained.
        search: Each optimizer's scores on a search's tasks; none without a search.
        small: The configuration of that search.
        at: Shares of AdamW's steps whose loss is the target of a speed-up.

    Raises:
        EvosearchError: AdamW failed on a seed, so there is nothing to compare with.
    """
    curves = {label: _curves(contestant) for label, contestant in contestants.items()}
    steps, reference = curves[REFERENCE]
    if not len(reference) or not np.isfinite(reference).all():
        raise EvosearchError(
            f"AdamW fails on {test.task}, so nothing can be compared with it; give it more "
            "`--trials`, or choose another task"
        )
    floor = test.problem.floor
    rows: dict[str, ScaleRow] = {}
    for label, contestant in contestants.items():
        losses = curves[label][1]
        failed = not len(losses)
        ends = [math.inf] * test.seeds if failed else losses[:, -1].tolist()
        target = reference[:, -1].tolist()
        score = mean_score(paired(ends, target, floor))
        on_search = [mean_score(values) for values in search.get(label, {}).values()]
        rows[label] = ScaleRow(
            program=contestant.program,
            baseline=label in BASELINES,
            tuning=tuple(_trial(contestant, place, v) for place, v in contestant.tried.items()),
            best=list(contestant.tried).index(contestant.best),
            edge=bool(contestant.edges),
            edges=tuple(contestant.edges),
            curves=tuple(map(_rounded, losses.tolist())),
            score=_pair(score),
            end=_pair_of(ends),
            difference=_pair_of([a - b for a, b in zip(ends, reference[:, -1], strict=True)]),
            speedup={f"{share:g}": _speedup(test, steps, reference, losses, share) for share in at},
            search=_pair(combine(on_search)) if on_search else None,
            search_scores={
                task: _rounded(values) for task, values in search.get(label, {}).items()
            },
        )
    lanes = {file: r for c in contestants.values() for file, r in c.results.items()}
    return ScaleSummary(
        task=str(test.task),
        parameters=sum(parameter.numel for parameter in test.problem.parameters),
        steps=test.problem.steps,
        search=None if small is None else searched(small),
        seed=test.seed,
        seeds=test.seeds,
        tuning_seeds=test.tuning_seeds,
        trials=test.descent.trials,
        constants_tuned=any(family.axes for family in test.optimizers.values()),
        core_seconds=round(sum(result.seconds for result in lanes.values())),
        evaluated_after=tuple(steps),
        optimizers=rows,
        rank_correlation=_correlation(test, rows.values()),
    )


def searched(small: Config) -> SearchedTasks:
    """Return what a search's score is of."""
    parameters, steps = largest(small)
    tasks = tuple(str(ref) for tier in small.tiers_of_tasks() for ref in tier)
    return SearchedTasks(tasks, small.unit, parameters, steps)


def _curves(contestant: Contestant) -> tuple[tuple[int, ...], np.ndarray]:
    """Return the steps of evaluations, and the loss curves of the tests (seeds, steps)."""
    found = [contestant.results[lane.file] for lane in contestant.tests]
    if not found or any(result.failure for result in found):
        return (), np.empty((0, 0))
    steps = tuple(step for step, _ in found[0].curve)
    return steps, np.array([[loss for _, loss in result.curve] for result in found])


def _speedup(
    test: ScaleTest, steps: Sequence[int], reference: np.ndarray, losses: np.ndarray, at: float
) -> Speedup:
    """Return the speed-up of the mean curves, with its interval over seeds."""
    if not len(losses):
        return Speedup(0.0, reached=False, interval=None)

    def of(seeds: Sequence[int]) -> tuple[float, bool]:
        chosen = list(seeds)
        return speedup(steps, reference[chosen].mean(0), losses[chosen].mean(0), at)

    random = np.random.default_rng(derive("scale", "bootstrap", test.seed))
    value, reached = of(range(test.seeds))
    interval = bootstrap(lambda seeds: of(seeds)[0], test.seeds, random)
    return Speedup(_five_digits(float(value)), bool(reached), _interval(interval))


def _correlation(test: ScaleTest, rows: Iterable[ScaleRow]) -> Correlation:
    """Return Spearman's correlation of the search's score and this one, over the optimizers."""
    pairs = [(row.search[0], row.score[0]) for row in rows if row.search is not None]

    def of(members: Sequence[int]) -> float | None:
        return spearman([pairs[i][0] for i in members], [pairs[i][1] for i in members])

    random = np.random.default_rng(derive("scale", "optimizers", test.seed))
    value = of(range(len(pairs))) if len(pairs) > 1 else None
    interval = _interval(bootstrap(of, len(pairs), random))
    return Correlation(_digits(value), interval, len(pairs))


def _trial(contestant: Contestant, place: Place, found: float) -> tuple[float | None, ...]:
    """Return a trial's constants, its learning rates of matrices and rest, and its level."""
    space = contestant.space
    rates = space.rates(place)
    return _rounded([*space.constants(place), rates.matrix, rates.rest, found])


def _pair_of(values: Sequence[float]) -> MeanAndError | None:
    """Return a mean and its standard error; None where not all values are finite."""
    return _pair(mean_score(values)) if all(map(math.isfinite, values)) else None


def _pair(score: Score) -> MeanAndError:
    """Return a mean and its standard error."""
    return _five_digits(score.mean), _digits(score.se)


def _interval(bounds: Sequence[float] | None) -> tuple[float | None, float | None] | None:
    return None if bounds is None else (_digits(bounds[0]), _digits(bounds[1]))


def _five_digits(value: float) -> float:
    """Return a number with the digits that another machine could reproduce."""
    return float(f"{value:.5g}")


def _digits(value: float | None) -> float | None:
    """Return the same, or None where there is no finite number."""
    return None if value is None or not math.isfinite(value) else _five_digits(value)


def _rounded(values: Sequence[float]) -> tuple[float | None, ...]:
    return tuple(_digits(value) for value in values)
