from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evosearch.training.score import (
    BOUND,
    Score,
    best_trial,
    combine,
    log_excess,
    mean_score,
    paired,
)

anything = st.floats(allow_nan=True, allow_infinity=True)
losses = st.floats(min_value=1e-3, max_value=1e3)
pairs = st.lists(st.tuples(losses, losses), min_size=1, max_size=6)


@given(pairs)
def test_scores_are_antisymmetric(values):
    a, b = zip(*values, strict=True)
    assert paired(a, b, 0.0) == [-s for s in paired(b, a, 0.0)]
    assert paired(a, a, 0.0) == [0.0] * len(a)


@given(pairs, st.floats(min_value=-50, max_value=50))
def test_the_floor_is_subtracted(values, shift):
    a, b = zip(*values, strict=True)
    shifted = paired([x + shift for x in a], [x + shift for x in b], shift)
    assert shifted == pytest.approx(paired(a, b, 0.0), abs=1e-6)


def test_halving_the_excess_is_worth_log_two():
    assert paired([1.5], [2.0], 1.0) == pytest.approx([math.log(2)])


@given(pairs, st.floats(min_value=0.02, max_value=2.0))
def test_a_score_in_steps_is_what_a_power_law_gives(values, elasticity):
    """With a loss of steps ** -elasticity, the score is the log of the factor of steps."""
    steps = [10 * s / 1e3 for s, _ in values], [10 * s / 1e3 for _, s in values]
    a, b = ([s**-elasticity for s in side] for side in steps)
    expected = [math.log(s / r) for s, r in zip(*steps, strict=True)]
    bounded = [min(max(x, -BOUND), BOUND) for x in expected]
    assert paired(a, b, 0.0, elasticity) == pytest.approx(bounded, abs=1e-6)


def test_scores_are_paired_by_seed():
    easy, hard = 1.0, 100.0
    scores = paired([easy / 2, hard / 2], [easy, hard], 0.0)
    assert mean_score(scores).mean == pytest.approx(math.log(2))
    assert mean_score(scores).se == pytest.approx(0.0, abs=1e-12)


@given(anything, anything, st.floats(-10, 10))
def test_every_score_is_a_number_within_bounds(value, reference, floor):
    (score,) = paired([value], [reference], floor)
    assert -BOUND <= score <= BOUND
    assert math.isfinite(log_excess(value, floor))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_divergence_is_the_worst_score(value):
    assert paired([value], [1e6], 0.0) == [-BOUND]
    assert log_excess(value, 0.0) > log_excess(1e11, 0.0)


def test_where_the_reference_diverges_too_nobody_is_better():
    assert paired([math.nan, math.inf], [math.inf, math.nan], 0.0) == [0.0, 0.0]


def test_reaching_the_floor_is_the_best_score():
    assert paired([1.0], [2.0], 1.0) == [BOUND]
    assert paired([0.5], [2.0], 1.0) == [BOUND]


@given(st.lists(st.lists(anything, min_size=2, max_size=2), min_size=1, max_size=5))
def test_some_trial_is_best_whatever_the_values(values):
    best = best_trial(values, 0.0)
    means = [np.mean([log_excess(v, 0.0) for v in row]) for row in values]
    assert means[best] == pytest.approx(min(means))


def test_the_best_trial_is_best_in_the_mean_over_seeds():
    assert best_trial([[1.0, 1.0], [0.1, 5.0], [0.01, math.nan]], 0.0) == 1
    assert best_trial([[2.0], [2.0]], 0.0) == 0


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=8))
def test_standard_error_over_seeds(scores):
    found = mean_score(scores)
    assert found.mean == pytest.approx(np.mean(scores), abs=1e-9)
    assert found.se == pytest.approx(np.std(scores, ddof=1) / np.sqrt(len(scores)), abs=1e-9)


def test_tasks_combine_with_their_errors():
    both = combine([Score(1.0, 0.3), Score(3.0, 0.4)])
    assert (both.mean, both.se) == (2.0, pytest.approx(0.25))
    assert combine([Score(1.0, 0.3), Score(3.0, None)]) == Score(2.0, None)
    assert mean_score([1.5]) == Score(1.5, None)


def test_a_score_is_shown_with_its_error_where_there_is_one():
    assert str(Score(0.1234, None)) == "+0.123"
    assert str(Score(-0.1234, 0.05)) == "-0.123 ± 0.050"
