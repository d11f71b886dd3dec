"""One worker in a process of its own: nothing that a job does ends the search or lasts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import hostile
import pytest
from fake_evaluation import config_of, job_of, perform

from evosearch.errors import ClusterError
from evosearch.evolution.loop import search
from evosearch.training.job import Outcome, Status
from evosearch.workers.child import ChildExecutor, call_apart
from evosearch.workers.executor import LocalExecutor


@pytest.fixture(scope="module")
def executor(tmp_path_factory) -> Iterator[ChildExecutor]:
    os.environ["EVOSEARCH_TEST_NOTES"] = str(tmp_path_factory.mktemp("notes") / "flaky")
    executor = ChildExecutor(1.5, perform=hostile.perform)
    yield executor
    executor.close()
    del os.environ["EVOSEARCH_TEST_NOTES"]


def evaluate(executor: ChildExecutor, number: int, *names: str) -> tuple[Outcome, ...]:
    executor.submit(number, job_of(*names))
    outcomes, _ = executor.collect(number)
    assert isinstance(outcomes, tuple)
    return outcomes


def alone(*names: str) -> tuple[Outcome, ...]:
    outcomes, _ = perform(job_of(*names))
    assert isinstance(outcomes, tuple)
    return outcomes


def test_a_search_is_the_one_of_this_process(executor: ChildExecutor) -> None:
    config = config_of("budget.evaluations=12", "start=sgd")
    here: list[Mapping[str, Any]] = []
    there: list[Mapping[str, Any]] = []
    search(config, LocalExecutor(perform), here.extend)
    search(config, executor, there.extend)
    assert [{**r, "info": None} for r in there] == [{**r, "info": None} for r in here]
    assert executor.faults == []


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("rmsprop", Status.CRASHED, "its process was ended by SIGSEGV"),
        ("signum", Status.TIMEOUT, "no result in 1.5 s"),
        pytest.param(
            *("signsgd", Status.CRASHED, "its process ended with exit code 3"),
            marks=pytest.mark.slow,
        ),
        pytest.param(*("nesterov", Status.TIMEOUT, "no result in 1.5 s"), marks=pytest.mark.slow),
    ],
)
def test_what_ends_or_blocks_its_process_is_found(
    executor: ChildExecutor, name: str, status: Status, message: str
) -> None:
    before, told = len(executor.faults), []
    executor.on_fault = told.append
    sgd, lost = evaluate(executor, 100 + before, "sgd", name)
    assert sgd == alone("sgd")[0]
    assert (lost.status, lost.message) == (status, message)
    assert told == executor.faults[before:]
    assert len(told) == 3  # the pack, then the candidate twice


def test_a_killed_process_shows_in_nothing_but_the_faults(executor: ChildExecutor) -> None:
    before = len(executor.faults)
    assert evaluate(executor, 200, "momentum") == alone("momentum")
    (fault,) = executor.faults[before:]
    assert "was ended by SIGKILL, as where memory is short" in fault


def test_an_error_of_ours_is_raised_here_with_the_place_where_it_was(executor) -> None:
    executor.submit(300, job_of("adam"))
    with pytest.raises(ZeroDivisionError, match="a bug of ours") as caught:
        executor.collect(300)
    assert "in perform" in caught.value.__notes__[0]
    assert evaluate(executor, 301, "lion") == alone("lion")


def test_jobs_may_be_collected_in_any_order(executor: ChildExecutor) -> None:
    for number, name in enumerate(("sgd", "lion", "adamw"), start=400):
        executor.submit(number, job_of(name))
    assert executor.collect(402)[0] == alone("adamw")
    assert executor.collect(400)[0] == alone("sgd")


def test_a_process_that_does_not_start_is_told_and_given_up() -> None:
    executor = ChildExecutor(prepare=partial(os._exit, 7), perform=divmod)  # what loads nothing
    executor.submit(0, job_of("sgd"))
    with pytest.raises(ClusterError, match="exit code 7, 3 times"):
        executor.collect(0)
    assert len(executor.faults) == 3
    executor.close()


def test_a_call_apart() -> None:
    assert call_apart(partial(divmod, 7, 2), 60.0) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        call_apart(partial(divmod, 1, 0), 60.0)
    with pytest.raises(ChildProcessError, match="exit code 7"):
        call_apart(partial(os._exit, 7), 60.0)
    with pytest.raises(TimeoutError):
        call_apart(partial(time.sleep, 60), 0.5)


def test_it_ends_with_the_process_that_started_it_even_while_it_hangs() -> None:
    program = (
        "import sys; from functools import partial; from evosearch.workers.child import call_apart;"
        "spins = 'import os; print(os.getpid(), flush=True)\\nwhile True: pass';"
        "call_apart(partial(exec, spins), 60.0)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, env=environment
    )
    assert parent.stderr is not None
    child = int(parent.stderr.readline())  # where what it prints goes
    os.kill(child, 0)
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("it is still there")
