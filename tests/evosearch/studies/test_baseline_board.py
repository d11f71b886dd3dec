"""Tuned baselines as data: how they are made, and that they still hold."""

from __future__ import annotations

import json

import pytest
from told_scores import TASK, Teller

from evosearch.studies.baseline_board import (
    SEEDS,
    excluded,
    figure,
    measure,
    measured,
    stored,
    text,
    worse,
)
from evosearch.studies.baseline_families import FAMILIES
from evosearch.studies.statistics import holm
from evosearch.training.layout import Layout
from evosearch.training.score import mean_score
from evosearch.training.tunable import Axis, Kind, Tunable
from evosearch.workers.executor import LocalExecutor
from proxy_tasks.registry import get


def _times(values):
    return f"def p(w, g):\n    u = g * {values[0]}\n    return u\n"


def family(gain):
    return Tunable((Axis("gain", (gain,), 0, Kind.FACTOR),), _times)


GOOD, BAD = 1.0, 2.0
LEVELS = {_times((GOOD,)): 0.5, _times((BAD,)): -0.5, FAMILIES["adamw"].start: 0.0}


def told_board(failing=()):
    executor = Teller(LEVELS, 0.05, failing).executor()
    families = {"good": family(GOOD), "bad": family(BAD), "adamw": FAMILIES["adamw"]}
    return measure(TASK, executor, families=families)


def test_a_family_and_its_textbook_stand_side_by_side():
    board = told_board()
    for name, level in (("good", 0.5), ("bad", -0.5)):
        row = board["optimizers"][name]
        assert len(row["tuned"]["scores"]) == len(row["textbook"]["scores"]) == SEEDS
        assert mean_score(row["tuned"]["scores"]).mean == pytest.approx(level, abs=0.06)
    assert board["optimizers"]["adamw"]["tuned"]["scores"] == [0.0] * SEEDS


def test_one_that_fails_has_no_scores_and_says_why():
    board = told_board(failing=[_times((GOOD,))])
    row = board["optimizers"]["good"]["tuned"]
    assert row["scores"] == []
    assert row["failure"] == "told to"
    assert worse(board, "good") is None


def test_a_family_that_is_tuned_badly_shows():
    board = told_board()
    assert not excluded(board, "good")
    board["optimizers"]["good"]["textbook"]["scores"] = [0.8, 0.81, 0.79, 0.8]
    assert excluded(board, "good")


def test_figures_are_found_by_the_textbooks_program():
    board = told_board()
    score, error = figure(board, _times((GOOD,)))
    assert score == pytest.approx(0.5, abs=0.06)
    assert error is not None
    assert figure(board, _times((3.0,))) is None


def test_the_file_holds_the_board_with_a_trial_a_line():
    board = told_board()
    written = text(board)
    assert json.loads(written) == board
    assert all(line.count("[") <= 1 for line in written.splitlines())
    assert "[1.0, 0.1, 0.1, " in written


def test_no_stored_family_does_worse_than_its_textbook():
    """Corrected for all that is compared; of some 80 families a few lose to it by chance."""
    boards = [board for board in map(stored, measured()) if board is not None]
    pairs = [(board, name) for board in boards for name in FAMILIES]
    chances = [p for p in (worse(board, name) for board, name in pairs) if p is not None]
    assert len(chances) > 10
    assert min(holm(chances)) > 0.05
    assert sum(excluded(board, name) for board, name in pairs) <= 0.1 * len(pairs)


@pytest.mark.parametrize("task", measured())
def test_stored_figures_are_of_todays_families(task):
    board = stored(task)
    assert board is not None
    assert set(board["optimizers"]) == set(FAMILIES)
    layout = Layout.of(get(task))
    for name, row in board["optimizers"].items():
        assert row["textbook"]["program"] == FAMILIES[name].start
        acting = FAMILIES[name].on(matrix=layout.matrix.numel > 0, rest=layout.rest.numel > 0)
        constants = row["tuned"]["trials"][row["tuned"]["best"]][: -len(("lr", "rest", "level"))]
        assert len(constants) == len(acting.axes)
        assert row["tuned"]["program"] == acting.write(tuple(constants))


def test_a_stored_figure_is_reproduced():
    board = stored("varying_batch")
    assert board is not None
    again = measure("varying_batch", LocalExecutor(), families={"signum": FAMILIES["signum"]})
    for how in ("tuned", "textbook"):
        found, known = (b["optimizers"]["signum"][how] for b in (again, board))
        level, error = mean_score(known["scores"]).mean, mean_score(known["scores"]).se
        assert mean_score(found["scores"]).mean == pytest.approx(level, abs=error)
    assert again["reference"]["program"] == board["reference"]["program"]
