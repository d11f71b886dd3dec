from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evosearch.mutation.constants import draw, perturb, tidy
from evosearch.mutation.rng import Rng
from primitives.op import Constant

KINDS = list(Constant)


@pytest.mark.parametrize("kind", KINDS)
def test_fresh_constants_lie_in_their_range(kind: Constant) -> None:
    values = [draw(kind, Rng("draw", k)) for k in range(500)]
    ranges = {Constant.RATE: (0, 1), Constant.DECAY: (0.5, 1), Constant.GAIN: (0, math.inf)}
    ranges |= {Constant.COEFFICIENT: (-1e3, 1e3), Constant.PERIOD: (1, 100)}
    low, high = ranges.get(kind, (-1.0, 2.0))
    assert all(low <= value <= high for value in values)
    assert all(value == tidy(value) for value in values)
    few = kind in (Constant.EXPONENT, Constant.PERIOD)
    assert len(set(values)) > (5 if few else 200)


def test_fresh_rates_are_small_or_near_one() -> None:
    values = [draw(Constant.RATE, Rng("rate", k)) for k in range(500)]
    near = sum(value > 0.5 for value in values) / len(values)
    assert 0.4 < near < 0.6
    assert min(values) < 0.005
    assert max(values) > 0.995


@given(st.integers(0, 2**32), st.sampled_from(KINDS), st.floats(-3.0, 3.0))
def test_moved_constants_are_finite_tidy_and_repeatable(
    seed: int, kind: Constant, value: float
) -> None:
    moved = perturb(kind, value, Rng(seed))
    assert math.isfinite(moved)
    assert moved == perturb(kind, value, Rng(seed))
    assert moved == tidy(moved)
    if kind in (Constant.RATE, Constant.DECAY) and 0.0 < value < 1.0:
        assert 0.0 <= moved <= 1.0
    if kind is Constant.GAIN and value:
        assert moved * value >= 0.0 or moved > 0.0  # a move keeps the sign, a redraw is positive


def spread(kind: Constant, value: float, metric) -> tuple[float, float]:
    """Return the median and the spread (half of a middle two thirds) of moves, in a metric."""
    moves = sorted(
        metric(perturb(kind, value, Rng("spread", k))) - metric(value) for k in range(1000)
    )
    return statistics.median(moves), (moves[833] - moves[166]) / 2


@pytest.mark.parametrize("value", [0.9, 0.99, 0.999])
def test_a_decay_moves_in_the_logarithm_of_its_distance_from_one(value: float) -> None:
    median, width = spread(Constant.DECAY, value, lambda x: math.log(1.0 - x + 1e-12))
    assert abs(median) < 0.15
    assert 0.5 < width < 1.0


@pytest.mark.parametrize("value", [0.003, 0.1, 0.5, 0.99])
def test_a_rate_moves_in_its_logit(value: float) -> None:
    median, width = spread(
        Constant.RATE, value, lambda x: math.log((x + 1e-12) / (1.0 - x + 1e-12))
    )
    assert abs(median) < 0.15
    assert 0.5 < width < 1.0


@pytest.mark.parametrize("value", [1e-8, 0.01, 3.0, 1e6])
def test_a_gain_moves_in_its_logarithm(value: float) -> None:
    median, width = spread(Constant.GAIN, value, math.log)
    assert abs(median) < 0.15
    assert 0.5 < width < 1.1


def test_an_exponent_moves_by_adding() -> None:
    for value in (-1.0, 0.0, 0.5, 2.0):
        _, width = spread(Constant.EXPONENT, value, lambda x: x)
        assert 0.2 < width < 0.6


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.09837465, 0.0984),
        (0.998765432, 0.99877),
        (0.9999, 0.9999),
        (12345.678, 12300.0),
        (-0.0012345, -0.00123),
        (1e-8, 1e-8),
        (0.5, 0.5),
        (1.0, 1.0),
        (0.0, 0.0),
    ],
)
def test_three_digits_of_the_distance_from_zero_or_one(value: float, expected: float) -> None:
    assert tidy(value) == expected


@given(st.floats(-1e9, 1e9))
def test_tidying_twice_changes_nothing(value: float) -> None:
    assert tidy(tidy(value)) == tidy(value)
    assert abs(tidy(value) - value) <= 0.005 * abs(value) + 1e-12


@pytest.mark.parametrize("kind", [Constant.RATE, Constant.DECAY, Constant.GAIN])
def test_zero_has_no_neighbours_in_a_logarithm_so_it_is_drawn_afresh(kind: Constant) -> None:
    values = [perturb(kind, 0.0, Rng("zero", k)) for k in range(200)]
    assert all(value != 0.0 for value in values)
    assert len(set(values)) > 150
