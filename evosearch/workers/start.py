"""Workers for a search: a process of this machine, or as many as asked for on Ray."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evosearch.config.schema import Config
    from evosearch.workers.executor import Executor

__all__ = ["start_workers"]


@contextmanager
def start_workers(
    count: int | None, address: str | None, gpus_per_worker: float, config: Config
) -> Iterator[Executor]:
    """Start workers, and stop them at the end: one is a process, more of them are on Ray.

    Args:
        count: How many; None means one for each core of this machine, or what a cluster holds.
        address: A running Ray cluster, ``host:port``.
        gpus_per_worker: Share of a GPU that each takes, and then trains on.
        config: Of the search that they are for.

    Raises:
        DataError: A task's data cannot be read.
        ClusterError: No cluster answers, or it does not have what is asked for.
    """
    from evosearch.config.preflight import check_tasks
    from evosearch.hardware import cores
    from evosearch.workers.child import ChildExecutor
    from evosearch.workers.executor import perform, prepare

    imprints = check_tasks(config)
    here = address is None and not gpus_per_worker
    count = count or (cores() if here else None)
    deadline = config.budget.seconds_per_pack
    device = "cuda" if gpus_per_worker else "cpu"
    share = gpus_per_worker or 1.0
    if address is None and count == 1:
        executor: Executor = ChildExecutor(
            deadline,
            perform=partial(perform, device=device),
            prepare=partial(prepare, config, device, imprints, share),
        )
    else:
        from evosearch.workers.luggage import pack
        from evosearch.workers.ray_cluster import RayExecutor

        with TemporaryDirectory(prefix="evo-") as folder:
            executor = RayExecutor(
                count,
                address,
                gpus_per_worker,
                deadline,
                runtime=pack(config, Path(folder)) if address else None,
                perform=partial(perform, device=device),
                prepare=partial(prepare, config, device, imprints, share),
            )
    try:
        yield executor
    finally:
        executor.close()
