from __future__ import annotations

import pytest
import torch
from fake_evaluation import job_of
from fake_evaluation import perform as fake

from evosearch.errors import ClusterError
from evosearch.language.known import known
from evosearch.training.baseline import Baseline, BaselineJob
from evosearch.training.job import Job, Stage, Status, TaskRef
from evosearch.training.lr_grid import Grid
from evosearch.workers.executor import AnyJob, LocalExecutor, perform

SHORT = TaskRef("least_squares", {"steps": 5})


def test_jobs_run_when_their_results_are_asked_for() -> None:
    ran: list[AnyJob] = []

    def counted(job: AnyJob):
        ran.append(job)
        return fake(job)

    executor = LocalExecutor(counted)
    jobs = {number: job_of(name) for number, name in enumerate(("sgd", "lion", "adam"))}
    for number, job in jobs.items():
        executor.submit(number, job)
    assert ran == []
    for number in (2, 0):
        assert executor.collect(number) == fake(jobs[number])
    assert ran == [jobs[2], jobs[0]]
    executor.close()
    with pytest.raises(KeyError):
        executor.collect(1)
    assert executor.workers == 1
    assert executor.faults == []


def test_an_error_of_ours_is_not_swallowed() -> None:
    def broken(job: AnyJob):
        raise ZeroDivisionError(job)

    executor = LocalExecutor(broken)
    executor.submit(0, job_of("sgd"))
    with pytest.raises(ZeroDivisionError):
        executor.collect(0)


def test_perform_tunes_baselines_and_evaluates_packs() -> None:
    text = str(known("adamw"))
    grid = Grid(rates=3, ratios=(1.0,), extensions=0)
    tuned, seconds = perform(BaselineJob((text,), SHORT, 0, 2, 1, grid))
    assert isinstance(tuned, Baseline)
    assert len(tuned.values) == 2
    assert seconds > 0
    candidates = (str(known("lion")), "def f(w, g):\n    u = log(w)\n    u = u + g\n    return u\n")
    reference = {str(SHORT): tuned.values}
    job = Job(candidates, (Stage((SHORT,)),), (0, 1), 0, reference, grid)
    outcomes, seconds = perform(job)
    assert isinstance(outcomes, tuple)
    assert [outcome.status for outcome in outcomes] == [Status.OK, Status.DEGENERATE]
    assert seconds > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_worker_without_the_gpu_it_was_promised_says_so() -> None:
    with pytest.raises(ClusterError, match=r"expected a GPU that torch .* can use, found none"):
        perform(job_of("sgd"), "cuda")
