from __future__ import annotations

import math

import pytest

from evosearch.evolution.fitness import Fitness


def test_a_standing_is_the_mean_over_tasks_of_means_over_seeds() -> None:
    fitness = Fitness.of({"a": [1.0, 3.0], "b": [0.0, 0.0, 0.0, 4.0]}, 1, 2)
    assert fitness.score == pytest.approx((2.0 + 1.0) / 2)
    first, second = 1.0, math.sqrt((3 * 1.0 + 9.0) / 3 / 4)
    assert fitness.error == pytest.approx(math.hypot(first, second) / 2)
    assert fitness.rounds == 1
    assert fitness.tier == 1


def test_one_seed_has_no_error() -> None:
    assert Fitness.of({"a": [0.5]}, 0, 1).error is None


def test_order() -> None:
    """The tier first, then the score; how sure it is does not matter."""
    assert Fitness(1, -3.0, None, 1) > Fitness(0, 9.0, None, 5)
    assert Fitness(1, 0.5, None, 1) > Fitness(1, 0.4, None, 1)
    assert not Fitness(1, 0.5, 0.1, 1) > Fitness(1, 0.5, 9.0, 7)
    assert Fitness(1, 0.5, 0.1, 1) == Fitness(1, 0.5, 9.0, 7)
