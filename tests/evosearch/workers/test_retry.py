from __future__ import annotations

import pytest
from fake_evaluation import config_of, job_of, perform

from evosearch.errors import ClusterError
from evosearch.evolution.loop import baseline_jobs
from evosearch.language.known import KNOWN, known
from evosearch.training.job import Status
from evosearch.training.score import BOUND
from evosearch.workers.retry import Piece, Pieces

BASELINE = baseline_jobs(config_of())[0]


def test_a_job_that_comes_back_is_complete() -> None:
    pieces, job = Pieces(), job_of("sgd", "lion", "adam")
    piece = pieces.open(4, job)
    assert piece == Piece(4, 0, job)
    assert not pieces.complete(4)
    pieces.land(piece, perform(job))
    assert pieces.complete(4)
    assert pieces.take(4) == perform(job)


def test_a_baseline_is_one_piece() -> None:
    pieces = Pieces()
    piece = pieces.open(-1, BASELINE)
    pieces.land(piece, perform(BASELINE))
    assert pieces.complete(-1)
    assert pieces.take(-1) == perform(BASELINE)


def test_a_lost_job_is_taken_apart_and_put_together_again() -> None:
    names = KNOWN[:4]
    pieces, job = Pieces(), job_of(*names)
    parts = pieces.fault(pieces.open(0, job), Status.CRASHED, "gone")
    assert [part.job.candidates for part in parts] == [(str(known(name)),) for name in names]
    assert [(part.first, part.attempt) for part in parts] == [(0, 1), (1, 1), (2, 1), (3, 1)]
    for part in (parts[2], parts[0], parts[3]):
        pieces.land(part, perform(part.job))
        assert not pieces.complete(0)
    (again,) = pieces.fault(parts[1], Status.CRASHED, "gone")
    assert (again.first, again.attempt, again.job) == (1, 2, parts[1].job)
    pieces.land(again, perform(again.job))
    outcomes, seconds = pieces.take(0)
    assert outcomes == perform(job)[0]
    assert seconds == 4 * perform(job)[1]


@pytest.mark.parametrize("status", [Status.CRASHED, Status.TIMEOUT, Status.MEMORY])
def test_a_candidate_that_is_lost_alone_and_twice_is_to_blame(status: Status) -> None:
    pieces, job = Pieces(), job_of("sgd", "lion")
    good, bad = pieces.fault(pieces.open(0, job), status, "gone")
    (again,) = pieces.fault(bad, status, "gone once more")
    assert pieces.fault(again, status, "gone for good") == []
    pieces.land(good, perform(good.job))
    outcomes, _ = pieces.take(0)
    assert outcomes[0] == perform(job)[0][0]
    lost = outcomes[1]
    assert (lost.status, lost.message, lost.score, lost.tasks) == (
        status,
        "gone for good",
        -BOUND,
        (),
    )


def test_a_job_of_one_candidate_is_tried_twice() -> None:
    pieces = Pieces()
    (again,) = pieces.fault(pieces.open(7, job_of("sgd")), Status.CRASHED, "gone")
    assert pieces.fault(again, Status.CRASHED, "gone") == []
    assert pieces.complete(7)


def test_without_its_baseline_a_search_ends() -> None:
    pieces = Pieces()
    (again,) = pieces.fault(pieces.open(-1, BASELINE), Status.TIMEOUT, "no result in 3 s")
    with pytest.raises(ClusterError, match="no result in 3 s, twice") as caught:
        pieces.fault(again, Status.TIMEOUT, "no result in 3 s")
    assert "task digits_mlp" in str(caught.value)
    assert "budget.seconds_per_pack" in str(caught.value)


def test_jobs_do_not_touch_each_other() -> None:
    pieces = Pieces()
    first, second = pieces.open(0, job_of("sgd")), pieces.open(1, job_of("lion"))
    pieces.land(second, perform(second.job))
    assert pieces.complete(1)
    assert not pieces.complete(0)
    pieces.land(first, perform(first.job))
    assert pieces.take(1) == perform(second.job)
    assert pieces.take(0) == perform(first.job)
