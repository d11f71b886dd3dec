"""Where jobs run: in this process, or elsewhere behind the same three methods.

Jobs are numbered by the search, which asks for their results in order; an executor may finish them
in any order. It never changes a result, only how soon there is one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from evosearch.errors import ClusterError
from evosearch.training.baseline import Baseline, BaselineJob, tune_baseline
from evosearch.training.job import Job, Outcome
from evosearch.training.tuner import Tuned, TuningJob, tune

if TYPE_CHECKING:
    from evosearch.config.preflight import Imprint
    from evosearch.config.schema import Config

__all__ = ["AnyJob", "Executor", "LocalExecutor", "Result", "Timed", "perform", "prepare"]

AnyJob = Job | BaselineJob | TuningJob
Result = tuple[Outcome, ...] | Baseline | Tuned
Timed = tuple[Result, float]
"""A result and the seconds that a worker spent on it."""

_SHARE_OF_MEMORY: Final = 0.8
"""What one worker may allocate of its machine's memory."""


def perform(job: AnyJob, device: str = "cpu") -> Timed:
    """Run a job here; return its result and the seconds it took.

    Raises:
        ClusterError: The job is to run on a GPU, and torch has none here.
    """
    import torch

    from evosearch.training.evaluate import evaluate

    if device != "cpu" and not torch.cuda.is_available():
        raise ClusterError(
            f"expected a GPU that torch {torch.__version__} can use, found none on this worker. "
            "Install a torch built for its CUDA driver there, or ask for no share of a GPU"
        )
    start = time.perf_counter()
    if isinstance(job, Job):
        return evaluate(job, device=device), time.perf_counter() - start
    if isinstance(job, TuningJob):
        return tune(job, device), time.perf_counter() - start
    return tune_baseline(job, device), time.perf_counter() - start


def prepare(
    config: Config, device: str, imprints: Mapping[str, Imprint], share: float = 1.0
) -> None:
    """Load what a search's jobs need and compile the kernels, so that no job waits for it.

    Args:
        config: Of the search.
        device: Where lanes train.
        imprints: Of the tasks, where the search is driven.
        share: Of a GPU's memory that may be taken.

    Raises:
        DataError: A task cannot be read here, or is not what it is there.
    """
    import evosearch.training.evaluate  # noqa: F401 - with all that a job imports
    from evosearch.config.preflight import check_tasks, require_same
    from evosearch.training.vm import machine
    from proxy_tasks.kernels import gemm_calls, row_calls
    from proxy_tasks.kernels.dispatch import processor_tile

    for task, imprint in check_tasks(config).items():
        require_same(task, imprints[task], imprint, "the search")
    if device != "cpu" and share < 1:
        import torch

        if torch.cuda.is_available():
            torch.cuda.set_per_process_memory_fraction(share)
    if device == "cpu":
        _limit_memory()
    tile = processor_tile()
    if device == "cpu" and tile is not None:
        gemm_calls.compile_kernels(tile)
        row_calls.compile_kernels()
        machine.compile_kernel()


def _limit_memory() -> None:
    """Have what would take the whole machine's memory fail here instead; a pack is then split."""
    try:
        import resource

        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = int(_SHARE_OF_MEMORY * total)
        if hard == resource.RLIM_INFINITY or hard > limit:
            resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    except (ImportError, OSError, ValueError):  # where there is nothing of the kind
        return


class Executor(Protocol):
    """Runs jobs."""

    @property
    def workers(self) -> int:
        """How many jobs run at the same time."""
        ...

    @property
    def faults(self) -> list[str]:
        """What went wrong with the machinery so far, in sentences; not candidates' failures."""
        ...

    on_fault: Callable[[str], None]
    """Is told of each fault at once, also before there is any result."""

    def submit(self, number: int, job: AnyJob) -> None:
        """Accept a job under a number that was not used before."""
        ...

    def ready(self, number: int) -> bool:
        """Whether a job that was submitted is done, so that `collect` returns at once."""
        ...

    def collect(self, number: int) -> Timed:
        """Wait for a job; return its result and the seconds that a worker spent on it."""
        ...

    def close(self) -> None:
        """Stop all work and free what was taken."""
        ...


class LocalExecutor:
    """Runs a job in this process when its result is asked for."""

    workers = 1

    def __init__(self, perform: Callable[[AnyJob], Timed] = perform) -> None:
        self.faults: list[str] = []
        self.on_fault: Callable[[str], None] = lambda _: None
        self._perform = perform
        self._waiting: dict[int, AnyJob] = {}

    def submit(self, number: int, job: AnyJob) -> None:
        """Accept a job."""
        self._waiting[number] = job

    def ready(self, number: int) -> bool:
        """Return False: a job runs when it is collected."""
        del number
        return False

    def collect(self, number: int) -> Timed:
        """Run the job."""
        return self._perform(self._waiting.pop(number))

    def close(self) -> None:
        """Forget the jobs that were not asked for."""
        self._waiting.clear()
