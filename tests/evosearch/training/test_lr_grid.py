# ruff: noqa: ARG005 - every rule has the same signature
from __future__ import annotations

import math

import pytest
import torch
from small_tasks import ADAM, MATRIX, SGD, Closure, Regression, Rules, both

from evosearch.training.lr_grid import Grid, GridPoint, UpdateSize, measure
from evosearch.training.seeds import grid_seed

SIZE = UpdateSize(2.0, 0.5)


def test_the_size_of_sgd_is_that_of_the_last_recorded_gradient():
    task = Regression()
    seed = grid_seed("regression")
    weights = {k: v.double().requires_grad_() for k, v in task.initialize(seed).items()}
    x = task.draw(seed)[0][7].double()
    task.loss({k: v[None] for k, v in weights.items()}, (x[None],)).sum().backward()
    grads = {k: v.grad for k, v in weights.items()}

    def rms(*names: str) -> float:
        entries = torch.cat([grads[n].flatten() for n in names])  # type: ignore[union-attr]
        return float(entries.square().mean().sqrt())

    size = measure(both(SGD), task)
    assert size.matrix == pytest.approx(rms("first", "middle"), rel=1e-5)
    assert size.rest == pytest.approx(rms("bias", "last"), rel=1e-5)


def test_states_advance_while_measuring():
    counted = Closure(lambda w, g, t, m: (m + 1.0, m + 1.0), ADAM.states[:1])
    assert measure(both(counted), Regression()) == UpdateSize(8.0, 8.0)


def test_learning_rates_undo_the_rules_scale():
    task, grid = Regression(), Grid()
    scaled = Closure(lambda w, g, t, m: (1000.0 * m, m + g), ADAM.states[:1])
    plain = Closure(lambda w, g, t, m: (m, m + g), ADAM.states[:1])
    trials = [grid.trial(GridPoint(1, 2), measure(both(r), task), 0.01) for r in (plain, scaled)]
    assert trials[0].matrix == pytest.approx(1000 * trials[1].matrix, rel=1e-5)
    assert trials[0].rest == pytest.approx(1000 * trials[1].rest, rel=1e-5)


def test_each_rule_is_measured_on_its_own_parameters():
    task = Regression()
    mixed = measure(Rules(MATRIX, SGD), task)
    assert mixed.rest == measure(both(SGD), task).rest
    assert mixed.matrix == measure(Rules(MATRIX, ADAM), task).matrix
    assert mixed.matrix != measure(both(SGD), task).matrix


@pytest.mark.parametrize("constant", [0.0, math.nan, math.inf])
def test_no_learning_rate_helps_a_degenerate_update(constant: float):
    size = measure(both(Closure(lambda w, g, t: (g * 0 + constant,))), Regression())
    assert size.degenerate
    assert not SIZE.degenerate


def test_points_are_centred_and_trials_geometric():
    grid = Grid(rates=3, per_decade=2, ratios=(0.1, 1.0))
    points = grid.points(SIZE)
    assert points == tuple(GridPoint(r, q) for r in (-1, 0, 1) for q in (0, 1))
    centre = grid.trial(GridPoint(0, 1), SIZE, step_size=0.01)
    assert (centre.matrix, centre.rest) == pytest.approx((0.005, 0.02))
    higher = grid.trial(GridPoint(1, 0), SIZE, step_size=0.01)
    assert higher.matrix / centre.matrix == pytest.approx(10**0.5)
    assert higher.rest / centre.rest == pytest.approx(0.1 * 10**0.5)


@pytest.mark.parametrize("size", [UpdateSize(2.0, None), UpdateSize(None, 2.0)])
def test_one_kind_of_parameter_has_no_ratio(size: UpdateSize):
    grid = Grid(rates=3, ratios=(0.3, 1.0, 3.0))
    points = grid.points(size)
    assert points == (GridPoint(-1, 1), GridPoint(0, 1), GridPoint(1, 1))
    assert grid.beyond(points[-1], points, size) == (GridPoint(2, 1),)
    trial = grid.trial(points[1], size, 0.01)
    assert {trial.matrix, trial.rest} == {0.0, 0.005}


def test_neighbours_of_an_edge_are_proposed_until_they_are_tried():
    grid = Grid(rates=3, ratios=(0.3, 1.0, 3.0))
    tried = set(grid.points(SIZE))
    assert grid.beyond(GridPoint(0, 1), tried, SIZE) == ()
    assert grid.beyond(GridPoint(1, 1), tried, SIZE) == (GridPoint(2, 1),)
    assert set(grid.beyond(GridPoint(-1, 0), tried, SIZE)) == {GridPoint(-2, 0), GridPoint(-1, -1)}
    assert grid.beyond(GridPoint(1, 1), tried | {GridPoint(2, 1)}, SIZE) == ()
    assert grid.beyond(GridPoint(1, 0), grid.points(SIZE), SIZE) == (
        GridPoint(2, 0),
        GridPoint(1, -1),
    )


def test_ratios_continue_geometrically():
    grid = Grid(ratios=(0.3, 1.0, 4.0))
    assert [grid.ratio(GridPoint(0, i)) for i in range(3)] == [0.3, 1.0, 4.0]
    assert grid.ratio(GridPoint(0, 4)) == pytest.approx(64.0)
    assert grid.ratio(GridPoint(0, -2)) == pytest.approx(0.3 * 0.3**2)


def test_a_refined_grid_halves_its_step_once_the_best_lies_inside():
    grid = Grid(rates=3, per_decade=2, ratios=(1.0,), refine=2)
    tried = grid.points(SIZE)
    assert tried == (GridPoint(-4, 0), GridPoint(0, 0), GridPoint(4, 0))
    assert grid.beyond(GridPoint(4, 0), tried, SIZE) == (GridPoint(8, 0),)
    rounds = [near := grid.beyond(GridPoint(0, 0), tried, SIZE)]
    rounds += [grid.beyond(GridPoint(0, 0), (*tried, *near), SIZE)]
    assert [[point.rate for point in points] for points in rounds] == [[-2, 2], [-1, 1]]
    found = (*tried, *rounds[0], *rounds[1])
    assert grid.beyond(GridPoint(0, 0), found, SIZE) == ()
    assert [p.rate for p in grid.beyond(GridPoint(2, 0), found, SIZE)] == [3]
    assert not grid.outside(GridPoint(2, 0), tried, SIZE)  # no edge, whatever is untried there
    steps = [grid.trial(GridPoint(rate, 0), SIZE, 0.01).matrix for rate in (0, 2, 4)]
    assert steps[2] / steps[0] == pytest.approx(10**0.5)
    assert steps[1] / steps[0] == pytest.approx(10**0.25)


@pytest.mark.parametrize(
    "settings",
    [{"rates": 0}, {"refine": -1}, {"ratios": ()}, {"ratios": (1.0, 0.5)}, {"ratios": (-1.0,)}],
)
def test_senseless_grids_are_refused(settings: dict):
    with pytest.raises(ValueError, match="expected"):
        Grid(**settings)
