"""Errors of differences and counts, against scipy's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evosearch.studies.statistics import difference, holm, wilson

SAMPLES = st.lists(st.floats(-5, 5, allow_subnormal=False), min_size=3, max_size=12).filter(
    lambda xs: np.std(xs) > 1e-3
)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(SAMPLES)
def test_one_task_is_the_paired_t_test(sample):
    found = difference([sample])
    expected = stats.ttest_1samp(sample, 0.0, alternative="greater")
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-300)
    assert found.beyond() == (expected.pvalue < 0.05)
    assert found.pairs == len(sample)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(SAMPLES, SAMPLES)
def test_two_tasks_combine_as_in_welchs_test(first, second):
    found = difference([first, second])
    expected = stats.ttest_ind(
        first, [-x for x in second], equal_var=False, alternative="greater"
    )  # mean(first) + mean(second) against zero
    assert found.mean == pytest.approx((np.mean(first) + np.mean(second)) / 2)
    assert found.freedom == pytest.approx(expected.df)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-300)


def test_a_single_seed_decides_nothing():
    assert not difference([[3.0], [2.0, 2.5]]).beyond()
    assert difference([[3.0]]).error is None


@pytest.mark.parametrize(("mean", "beyond"), [(0.25, True), (0.0, False), (-0.25, False)])
def test_differences_without_spread(mean, beyond):
    assert difference([[mean] * 4]).beyond() is beyond


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (9, 10), (10, 10), (3, 7)])
def test_wilson(hits, trials):
    expected = stats.binomtest(hits, trials).proportion_ci(method="wilson")
    assert wilson(hits, trials) == pytest.approx((expected.low, expected.high), abs=2e-5)


def test_wilson_without_trials_knows_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


def test_holm_steps_down_and_keeps_the_order():
    # By hand: sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1, then never smaller than before.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
