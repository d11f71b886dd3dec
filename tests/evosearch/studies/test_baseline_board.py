"""Tuned baselines as data: how they are made, and that they still hold."""

from __future__ import annotations

import json

import pytest
from told_scores import TASK, Teller

from evosearch.studies.baseline_board import (
    SEEDS,
    excluded,
    figure,
    inclusion,
    measure,
    measured,
    stored,
    text,
)
from evosearch.studies.baseline_families import FAMILIES
from evosearch.studies.statistics import holm
from evosearch.training.score import mean_score
from evosearch.workers.executor import LocalExecutor

GOOD, BAD, LUCKY = (f"def p(w, g):\n    u = g * {k}.0\n    return u\n" for k in (1, 2, 3))


def told_board(levels, noise=0.05, failing=()):
    executor = Teller(levels, noise, failing).executor()
    families = {"first": list(levels), "second": list(levels)[:1]}
    return measure(TASK, executor, families=families)


def test_the_best_member_on_the_tuning_seeds_is_the_familys_figure():
    board = told_board({BAD: -0.5, GOOD: 0.5})
    assert board["optimizers"]["first"]["best"] == 1
    assert board["optimizers"]["second"]["best"] == 0
    member = board["optimizers"]["first"]["members"][1]
    assert len(member["tuning"]) == len(member["testing"]) == SEEDS
    assert member["tuning"] != member["testing"]
    assert mean_score(member["testing"]).mean == pytest.approx(0.5, abs=0.05)


def test_a_member_that_fails_is_never_the_best():
    board = told_board({BAD: -0.5, GOOD: 0.5}, failing=[GOOD])
    assert board["optimizers"]["first"]["best"] == 0
    assert board["optimizers"]["first"]["members"][1]["testing"] == []
    assert excluded(board, "first") == []


def test_a_family_that_is_tuned_badly_shows():
    board = told_board({BAD: -0.5, GOOD: 0.5})
    assert excluded(board, "first") == []
    board["optimizers"]["first"]["best"] = 0
    assert excluded(board, "first") == [GOOD]


def test_figures_are_found_by_program():
    board = told_board({BAD: -0.5, GOOD: 0.5})
    score, error = figure(board, GOOD)
    assert score == pytest.approx(0.5, abs=0.05)
    assert error is not None
    assert figure(board, LUCKY) is None


def test_the_file_holds_the_board_with_a_trial_a_line():
    board = told_board({BAD: -0.5, GOOD: 0.5})
    written = text(board)
    assert json.loads(written) == board
    assert all(line.count("[") <= 1 for line in written.splitlines())
    assert "[0.1, 0.1, " in written


def test_no_stored_family_does_worse_than_its_members():
    """Corrected for all that is compared; of some 70 families a few lose to a member by chance."""
    boards = [board for board in map(stored, measured()) if board is not None]
    chances = [p for board in boards for name in FAMILIES for p in inclusion(board, name).values()]
    assert len(chances) > 100
    assert min(holm(chances)) > 0.05
    suspects = [name for board in boards for name in FAMILIES if excluded(board, name)]
    assert len(suspects) <= 0.1 * len(boards) * len(FAMILIES)


@pytest.mark.parametrize("task", measured())
def test_stored_figures_are_of_todays_programs(task):
    board = stored(task)
    assert board is not None
    stored_programs = {
        name: tuple(member["program"] for member in optimizer["members"])
        for name, optimizer in board["optimizers"].items()
    }
    assert stored_programs == dict(FAMILIES)


def test_a_stored_figure_is_reproduced():
    board = stored("varying_batch")
    assert board is not None
    lion = FAMILIES["lion"][:1]
    again = measure("varying_batch", LocalExecutor(), families={"lion": lion})
    found, known = figure(again, lion[0]), figure(board, lion[0])
    assert found is not None
    assert known is not None
    assert found[0] == pytest.approx(known[0], abs=known[1])
    assert again["reference"]["program"] == board["reference"]["program"]
