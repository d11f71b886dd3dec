"""The tuner: everybody's allowance is the same, and a best value has neighbours on all sides."""

from __future__ import annotations

import math

import pytest

from evosearch.studies.baseline_families import FAMILIES
from evosearch.training.job import TaskRef
from evosearch.training.tunable import Axis, Kind, Tunable
from evosearch.training.tuner import Descent, Place, TuningJob, tune

TASK = TaskRef("digits_mlp", {"steps": 12})


def descend(bowl, axes, descent, *, ratio=True) -> tuple[dict[Place, float], tuple[str, ...]]:
    """Run a descent on a function of the place."""
    tunable = Tunable(axes, str)
    tried: dict[Place, float] = {}
    while ahead := descent.ahead(tunable, tried, ratio=ratio):
        assert not set(ahead) & tried.keys()
        tried |= {place: bowl(place) for place in ahead}
    return tried, descent.edges(tunable, tried, ratio=ratio)


def axis(first: int = 0) -> Axis:
    return Axis("gain", (1.0, 2.0, 4.0), first, Kind.FACTOR)


def test_the_bottom_of_a_bowl_is_found_beyond_the_lists() -> None:
    bottom = (-9, 2, 5)
    tried, edges = descend(lambda p: math.dist(p, bottom), (axis(),), Descent(200))
    assert min(tried, key=lambda place: tried[place]) == bottom
    assert edges == ()


@pytest.mark.parametrize("trials", [1, 5, 6, 17])
def test_the_allowance_is_never_exceeded_and_edges_are_named(trials: int) -> None:
    tried, edges = descend(lambda p: math.dist(p, (0, 9, 9)), (axis(),), Descent(trials))
    assert len(tried) == trials
    assert {"ratio", "gain"} <= set(edges)


def test_rates_are_refined_on_request() -> None:
    bottom = (4, 0, 1)
    coarse, _ = descend(lambda p: math.dist(p, bottom), (axis(),), Descent(200))
    fine, edges = descend(lambda p: math.dist(p, bottom), (axis(),), Descent(200, fine=True))
    assert all(place[0] % 3 == 0 for place in coarse)
    assert min(fine, key=lambda place: fine[place]) == bottom
    assert edges == ()


def test_an_axis_that_ends_is_no_edge() -> None:
    ends = Axis("decay", (0.0, 0.1), 0, Kind.FACTOR)
    _, edges = descend(lambda p: math.dist(p, (0, 0, -5)), (ends,), Descent(200))
    assert edges == ()


def test_without_a_ratio_none_is_tried() -> None:
    tried, edges = descend(lambda p: math.dist(p, (0, 5)), (), Descent(99), ratio=False)
    assert {place[1] for place in tried} == {0}
    assert edges == ()


def test_what_is_reported_took_no_part_in_the_choice() -> None:
    job = TuningJob(FAMILIES["signum"], TASK, 0, (0, 1), (2, 3), Descent(12))
    tuned = tune(job)
    assert len(tuned.trials) == 12
    assert tuned.attempt.level == min(attempt.level for attempt in tuned.trials)
    others = tune(TuningJob(FAMILIES["signum"], TASK, 0, (0, 1), (4, 5), Descent(12)))
    assert others.trials == tuned.trials
    assert not set(others.seeds) & set(tuned.seeds)
    assert others.values != tuned.values
    for tuning, reporting in (((0, 1), (1, 2)), ((), (1,)), ((1,), ())):
        with pytest.raises(ValueError, match="none in both"):
            TuningJob(FAMILIES["signum"], TASK, 0, tuning, reporting)


def test_a_family_does_no_worse_than_its_start_on_the_seeds_it_was_tuned_on() -> None:
    for name in ("adamw", "muon", "lion"):
        family = FAMILIES[name]
        whole, start = (
            tune(TuningJob(f, TASK, 0, (0, 1), (2,), Descent(40)))
            for f in (family, Tunable.fixed(family.start))
        )
        assert whole.attempt.level <= start.attempt.level


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def p(w, g):\n    u = g - g\n    return u\n", "zero or not finite"),
        ("def p(w, g):\n    x = g * 0.0\n    u = g / x\n    u = u / x\n    return u\n", "zero"),
    ],
)
def test_what_cannot_be_trained_fails_with_its_reason(text: str, reason: str) -> None:
    tuned = tune(TuningJob(Tunable.fixed(text), TASK, 0, (0,), (1,)))
    assert reason in tuned.failure
    assert tuned.values == ()
