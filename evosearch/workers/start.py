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
        UsageError: More than one is asked for, and only this process knows a task.
        DataError: A task's data cannot be read.
        ClusterError: No cluster answers, or it does not have what is asked for.
    """
    from evosearch.config.preflight import check_tasks
    from evosearch.errors import UsageError
    from evosearch.hardware import cores
    from evosearch.workers.child import ChildExecutor
    from evosearch.workers.executor import LocalExecutor, perform, prepare
    from proxy_tasks.registry import TASKS

    imprints = check_tasks(config)
    here = address is None and not gpus_per_worker
    count = count or (cores() if here else None)
    deadline = config.budget.seconds_per_pack
    device = "cuda" if gpus_per_worker else "cpu"
    share = gpus_per_worker or 1.0
    known_here = [n for n in config.task_names if TASKS[n].own and TASKS[n].file is None]
    if known_here:
        if count != 1 or address is not None:
            raise UsageError(
                f"expected workers=1 with {', '.join(known_here)}, found {count or address}: other "
                "processes know a task by its file. Write it to one, with a line such as "
                "TASKS = {'mine': task}, and name that"
            )
        executor: Executor = LocalExecutor(partial(perform, device=device))
    elif address is None and count == 1:
        executor = ChildExecutor(
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
