"""Workers on Ray: real processes that die, hang and are replaced."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fake_evaluation
import pytest
from fake_evaluation import config_of, job_of, perform

from evosearch.errors import ClusterError
from evosearch.evolution.loop import search
from evosearch.language.known import known
from evosearch.training.job import Job, Outcome, Status
from evosearch.workers import ray_cluster
from evosearch.workers.executor import AnyJob, LocalExecutor, Timed
from evosearch.workers.ray_cluster import RayExecutor

DEADLINE = 2.0
DIES, HANGS, RAISES = (str(known(name)) for name in ("signsgd", "nesterov", "adam"))
FLAKY = str(known("momentum"))
"""Kills its worker the first time, and the first time only."""


def hostile(job: AnyJob) -> Timed:
    """Do what the candidates' names ask for; the folder for notes comes from the environment."""
    notes = Path(os.environ["EVOSEARCH_TEST_NOTES"])
    for text in job.candidates if isinstance(job, Job) else ():
        if text in (HANGS, FLAKY):
            with (notes / "pids").open("a") as file:
                file.write(f"{os.getpid()}\n")
        if text == DIES:
            os._exit(3)
        if text == HANGS:
            time.sleep(3600)
        if text == RAISES:
            raise ZeroDivisionError("a bug of ours")
        if text == FLAKY and not (notes / "flaky").exists():
            (notes / "flaky").touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return perform(job)


@pytest.fixture(scope="module")
def notes(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("notes")


@pytest.fixture(scope="module")
def executor(notes: Path) -> Iterator[RayExecutor]:
    """Two workers for the whole module; starting Ray takes longer than all tests together."""
    from ray import cloudpickle

    os.environ["EVOSEARCH_TEST_NOTES"] = str(notes)
    modules = (fake_evaluation, sys.modules[__name__])
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    executor = RayExecutor(2, deadline=DEADLINE, perform=hostile)
    try:
        yield executor
    finally:
        executor.close()
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)
        del os.environ["EVOSEARCH_TEST_NOTES"]


def evaluate(executor: RayExecutor, number: int, *names: str) -> tuple[Outcome, ...]:
    executor.submit(number, job_of(*names))
    outcomes, seconds = executor.collect(number)
    assert isinstance(outcomes, tuple)
    assert seconds >= 0.0
    return outcomes


def alone(*names: str) -> tuple[Outcome, ...]:
    outcomes, _ = perform(job_of(*names))
    assert isinstance(outcomes, tuple)
    return outcomes


def gone(pid: int, patience: float = 5.0) -> bool:
    """Whether a process has ended; a killed one may need a moment."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.ray
def test_a_search_on_workers_is_the_search_in_this_process(executor: RayExecutor) -> None:
    config = config_of("budget.evaluations=20", "start=sgd")
    here: list[Mapping[str, Any]] = []
    there: list[Mapping[str, Any]] = []
    search(config, LocalExecutor(perform), here.extend)
    search(config, executor, there.extend)
    assert [{**r, "info": None} for r in there] == [{**r, "info": None} for r in here]
    assert executor.workers == 2
    assert executor.faults == []


@pytest.mark.ray
def test_jobs_may_be_collected_in_any_order(executor: RayExecutor) -> None:
    names = ("sgd", "lion", "adamw", "muon", "signum")
    for number, name in enumerate(names, start=100):
        executor.submit(number, job_of(name))
    for number in (103, 100, 104, 102, 101):
        assert executor.collect(number)[0] == alone(names[number - 100])


@pytest.mark.ray
def test_a_candidate_that_ends_its_process_is_found(executor: RayExecutor) -> None:
    before = len(executor.faults)
    sgd, lost, lion = evaluate(executor, 200, "sgd", "signsgd", "lion")
    assert (sgd, lion) == alone("sgd", "lion")
    assert lost.status is Status.CRASHED
    assert "ActorDiedError" in lost.message
    assert len(executor.faults) - before == 3  # the pack, then the candidate twice
    assert executor.faults[-1].startswith("job 200, attempt 2: ")


@pytest.mark.ray
def test_a_killed_worker_shows_in_nothing_but_the_faults(
    executor: RayExecutor, notes: Path
) -> None:
    before = len(executor.faults)
    assert evaluate(executor, 203, "momentum") == alone("momentum")
    assert len(executor.faults) - before == 1
    first, second = (notes / "pids").read_text().split()
    assert gone(int(first))
    assert not gone(int(second), patience=0.1)


@pytest.mark.ray
def test_a_hanging_candidate_meets_the_deadline(executor: RayExecutor, notes: Path) -> None:
    (notes / "pids").write_text("")
    executor.submit(300, job_of("nesterov"))
    executor.submit(301, job_of("lion"))
    assert executor.collect(301)[0] == alone("lion")  # the other worker goes on
    (lost,), _ = executor.collect(300)  # type: ignore[misc]
    assert lost.status is Status.TIMEOUT
    assert lost.message == "no result in 2 s"
    pids = [int(pid) for pid in (notes / "pids").read_text().split()]
    assert len(set(pids)) == 2
    assert all(gone(pid) for pid in pids)


@pytest.mark.ray
def test_what_the_cluster_can_never_offer_is_refused(executor: RayExecutor, monkeypatch) -> None:
    with pytest.raises(ClusterError, match=r"64 workers .* the cluster has 2 CPUs and 0 GPUs"):
        executor._capacity(64, grows=False)
    monkeypatch.setitem(executor._need, "GPU", 0.5)
    with pytest.raises(ClusterError, match=r"with 1 CPU and 0\.5 GPU each .* room for 0"):
        executor._capacity(1, grows=False)


@pytest.mark.ray
def test_a_search_waits_for_workers_that_do_not_start_and_not_for_ever(
    executor: RayExecutor, monkeypatch
) -> None:
    import ray

    numbers = itertools.count(500)
    while executor._starting:  # those that replace what other tests have killed
        assert evaluate(executor, next(numbers), "lion") == alone("lion")
        time.sleep(0.1)
    before, first, second = len(executor.faults), next(numbers), next(numbers)
    with monkeypatch.context() as poor:
        poor.setattr(ray_cluster, "_PENDING", 1.0)
        poor.setitem(executor._need, "GPU", 1.0)  # as if the nodes that had some were lost
        for number in (first, second):  # each ends one of the two workers
            executor.submit(number, job_of("signsgd"))
        start = time.monotonic()
        with pytest.raises(ClusterError, match=r"no worker is left, and none started in 1 s"):
            executor.collect(first)
        assert time.monotonic() - start > 1.0
        assert len(executor.faults) == before + 2
    for actor in executor._starting.values():
        ray.kill(actor)
    (lost,), _ = executor.collect(first)  # type: ignore[misc]
    assert lost.status is Status.CRASHED
    assert evaluate(executor, next(numbers), "lion") == alone("lion")


@pytest.mark.ray
def test_an_error_of_ours_is_raised_here(executor: RayExecutor) -> None:
    executor.submit(400, job_of("adam"))
    with pytest.raises(ZeroDivisionError, match="a bug of ours"):
        executor.collect(400)


@pytest.mark.ray
def test_a_cluster_that_grows_may_be_asked_for_more_than_it_has(
    executor: RayExecutor, monkeypatch
) -> None:
    assert executor._capacity(64, grows=True) == 64
    assert executor.faults[-1] == "there is room for 2 of 64 workers; the others wait for more"
    monkeypatch.setitem(executor._need, "GPU", 1.0)
    with pytest.raises(ClusterError, match="room for 0"):
        executor._capacity(None, grows=True)
