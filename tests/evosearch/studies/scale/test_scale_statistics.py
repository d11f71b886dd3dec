"""Statistics of a scale test, against scipy and against plain counting."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from evosearch.studies.scale.statistics import bootstrap, speedup, steps_to
from evosearch.studies.statistics import ranks, spearman

STEPS = (10, 20, 30, 40)
FALLING = (4.0, 3.0, 2.0, 1.0)


@pytest.mark.parametrize(
    ("target", "expected"), [(3.0, 20), (2.5, 25), (1.0, 40), (4.0, 10), (9.0, 10), (0.9, None)]
)
def test_steps_to_a_loss_on_a_straight_line(target, expected):
    assert steps_to(target, STEPS, FALLING) == expected


def test_the_first_crossing_of_a_rough_curve_counts():
    random = np.random.default_rng(0)
    for _ in range(50):
        losses = np.linspace(3.0, 1.0, 12) + 0.4 * random.standard_normal(12)
        steps = np.cumsum(random.integers(1, 9, size=12))
        target = random.uniform(losses.min(), losses[0])
        dense = np.linspace(steps[0], steps[-1], 200_001)
        below = dense[np.interp(dense, steps, losses) <= target]
        assert steps_to(target, steps, losses) == pytest.approx(below[0], abs=1e-3)


def test_a_curve_that_diverges_reaches_nothing_afterwards():
    assert steps_to(2.5, STEPS, (4.0, 3.0, math.nan, math.nan)) is None
    assert steps_to(2.5, STEPS, (4.0, math.nan, 2.0, 1.0)) == 30


def test_a_curve_that_is_twice_as_fast_has_speedup_two():
    steps = np.arange(1, 101)
    slow, fast = 1.0 / steps, 1.0 / (2 * steps)
    assert speedup(steps, slow, fast, at=1.0) == (pytest.approx(2.0), True)
    assert speedup(steps, slow, fast, at=0.5) == (pytest.approx(2.0), True)
    assert speedup(steps, slow, slow, at=1.0) == (1.0, True)
    # The other way round the slow one ends where the fast one is after half of its steps.
    assert speedup(steps, fast, slow, at=1.0) == (pytest.approx(0.5), False)


def test_the_speedup_does_not_jump_where_the_target_is_just_missed():
    steps = np.arange(1, 101)
    reference = 2.0 - 0.01 * steps
    for at in (1.0, 0.6):
        target = reference[round(at * 100) - 1]
        (hit, reached), (miss, missed) = (
            speedup(steps, reference, np.linspace(2.0, target + gap, 100), at)
            for gap in (-1e-6, 1e-6)
        )
        assert (reached, missed) == (True, False)
        assert hit == pytest.approx(at, abs=1e-3)
        assert miss == pytest.approx(at, abs=1e-3)


def test_what_diverges_has_no_speed():
    assert speedup(STEPS, FALLING, (4.0, 5.0, math.nan, math.nan), at=1.0) == (0.0, False)


@pytest.mark.parametrize("seed", range(5))
def test_rank_correlation_is_scipys(seed):
    random = np.random.default_rng(seed)
    x, y = random.standard_normal(9).tolist(), random.integers(0, 4, size=9).tolist()
    assert ranks(y) == stats.rankdata(y).tolist()
    expected = stats.spearmanr(x, y)[0]
    assert spearman(x, y) == pytest.approx(expected, abs=1e-12)


def test_rank_correlation_by_hand():
    assert spearman([1, 2, 3], [10, 20, 1000]) == pytest.approx(1.0)
    assert spearman([1, 2, 3], [3, 2, -7]) == pytest.approx(-1.0)
    assert spearman([1, 2, 3], [5, 5, 5]) is None


def test_the_bootstrap_is_scipys():
    values = np.random.default_rng(3).exponential(size=25)
    found = bootstrap(lambda i: float(values[i].mean()), 25, np.random.default_rng(0), 4000)
    reference = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=4000, rng=np.random.default_rng(1)
    ).confidence_interval
    error = values.std() / 5
    assert found == pytest.approx((reference.low, reference.high), abs=0.1 * error)


def test_draws_without_a_value_are_left_out():
    def second_or_nothing(chosen):
        return 7.0 if 1 in chosen else None

    random = np.random.default_rng(0)
    assert bootstrap(second_or_nothing, 2, random, 50) == (7.0, 7.0)
    assert bootstrap(lambda _: None, 2, random, 50) is None
    assert bootstrap(lambda _: 1.0, 1, random, 50) is None
