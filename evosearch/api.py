"""One call for what `evosearch search` does."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from evosearch.journal import require_vacant
from evosearch.preflight import check_tasks
from evosearch.run import Observe, Run
from evosearch.workers import start_workers

if TYPE_CHECKING:
    from evosearch.config import Config

__all__ = ["free_directory", "search"]


def search(
    config: Config,
    directory: str | os.PathLike[str] | None = None,
    *,
    workers: int | None = None,
    address: str | None = None,
    gpus_per_worker: float = 0.0,
    observe: Observe = lambda _: None,
) -> Run:
    """Search for optimizers; the result is a run, which is also on disk.

    Args:
        config: What to do, from `evosearch.preset` or `evosearch.load`.
        directory: A new or empty directory; one below ``runs`` unless given.
        workers: Processes that evaluate; one for each core unless given. 1 means this process.
        address: A running Ray cluster to evaluate on, ``host:port``.
        gpus_per_worker: Share of a GPU that each worker takes.
        observe: Called with the sum of all records after every new one. What it raises ends the
            search, and nothing is lost: ``Run.open(directory).search()`` goes on.

    Raises:
        RunExists: There is something in the directory.
        DataError: A task's data cannot be read.
        ClusterError: No cluster answers, or it does not have what is asked for.
        RunError: The directory cannot be written.
    """
    place = free_directory("run", config.seed) if directory is None else Path(directory)
    require_vacant(place)
    check_tasks(config)
    with start_workers(workers, address, gpus_per_worker, config) as executor:
        return Run.create(place, config).search(executor, observe)


def free_directory(label: str, seed: int) -> Path:
    """Return a directory below ``runs`` that does not exist yet."""
    stem = f"{label}-{seed}"
    names = (stem if n == 1 else f"{stem}-{n}" for n in count(1))
    return next(path for name in names if not (path := Path("runs") / name).exists())
