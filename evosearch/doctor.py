"""Whether this installation can do its work: versions, processors, data, disk, and Ray if asked."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from evosearch.errors import ClusterError, ConfigError, DataError
from evosearch.hardware import cores
from evosearch.runs.manifest import versions

if TYPE_CHECKING:
    from proxy_tasks.task import Task

__all__ = ["Check", "describe", "diagnose"]

_SHARED: Final = 100 << 20
"""Bytes of shared memory that Ray should find free on a node."""
_RUNS: Final = 30
"""Training runs of a candidate: five learning rates, three ratios, two seeds."""
_ROOM: Final = 1 << 30
"""Bytes that should be free for run directories."""


@dataclass(frozen=True)
class Check:
    """The result of one check."""

    name: str
    found: str
    problem: str = ""
    """What is wrong and what to do; empty where nothing is."""
    required: bool = True
    """Whether a search needs it; otherwise it is there for some tasks only."""

    @property
    def mark(self) -> str:
        """One of "ok", "problem" and "note"."""
        if not self.problem:
            return "ok"
        return "problem" if self.required else "note"


def diagnose(
    start_ray: bool = False, address: str | None = None, tasks: Iterable[str] | None = None
) -> Iterator[Check]:
    """Check what a search needs on this machine, or on each node of a cluster, one by one.

    Args:
        start_ray: Also start a Ray worker, which takes some seconds.
        address: A cluster to check instead, ``host:port``.
        tasks: The tasks to check; all unless given.
    """
    if address is not None:
        yield from _cluster(address)
        return
    yield from _packages()
    for check in (_processors, _gpus, _products, _arithmetic, _memory, _disk):
        yield check()
    yield from _data(tasks)
    if start_ray:
        yield _ray()


def _packages() -> Iterator[Check]:
    for name, version in versions().items():
        problem = "" if version else f"install it: pip install {name}"
        optional = name == "evosearch"  # a checkout works without being installed
        yield Check(name, version or "not installed", problem, required=not optional)


def _processors() -> Check:
    import torch

    return Check("cores", f"{cores()}, {torch.get_num_threads()} torch threads")


def _gpus() -> Check:
    import torch

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    build = torch.version.cuda
    found = ", ".join(names) or f"none (torch is built for {f'CUDA {build}' if build else 'CPUs'})"
    return Check("GPUs", found)


def _products() -> Check:
    from proxy_tasks.kernels.dispatch import kernels, processor_tile

    slow = "packs train at about half speed on a CPU; own kernels need x86-64 with FMA and llvmlite"
    problem = "" if processor_tile() else slow
    return Check("products", kernels(), problem, required=False)


def _arithmetic() -> Check:
    import torch

    flushes = torch.set_flush_denormal(True)
    torch.set_flush_denormal(False)
    problem = (
        "" if flushes else "decaying averages may make training on this processor ten times slower"
    )
    found = "can be flushed to zero" if flushes else "cannot be flushed to zero"
    return Check("subnormals", found, problem, required=False)


def _memory() -> Check:
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return Check("memory", "unknown")
    per_worker = 1 << 30
    few = free < per_worker * cores()
    problem = "a worker takes up to about 1 GB; start fewer with --workers" if few else ""
    return Check("memory", f"{free / 2**30:.1f} GiB free", problem, required=False)


def _disk() -> Check:
    place = Path("runs") if Path("runs").is_dir() else Path()
    free = shutil.disk_usage(place).free
    problem = "" if free > _ROOM else "make room, or choose another place with --run"
    if not os.access(place, os.W_OK):
        problem = f"{place.resolve()} cannot be written; choose another place with --run"
    return Check("disk", f"{free / 2**30:.1f} GiB free for {place.resolve()}", problem)


def _data(names: Iterable[str] | None) -> Iterator[Check]:
    """Read the data of tasks."""
    from evosearch.config.preflight import check_task
    from evosearch.config.schema import PRESETS, preset
    from proxy_tasks.registry import TASKS

    used = {name for label in PRESETS for name in preset(label).task_names}
    for name, spec in ((n, TASKS[n]) for n in (TASKS if names is None else names)):
        found, problem = _attempt(lambda name=name: check_task(name, {}))
        if spec.own and not problem:
            found = "; ".join((found, *_own(spec.task)))
        yield Check(f"task {name}", found, problem, required=name in used or spec.own)


def _own(task: Task) -> Iterator[str]:
    """Yield what there is to know of a task of the user's."""
    from evosearch.language.known import known
    from evosearch.training.cost import run_seconds
    from evosearch.training.evaluate import compile_text
    from proxy_tasks.task import Role

    hidden = [p.name for p in task.parameters if p.role is Role.HIDDEN]
    yield f"{len(task.parameters)} parameters, {len(hidden)} of them hidden matrices"
    seconds = run_seconds(task, compile_text(str(known("adamw"))))
    yield f"a candidate, {_RUNS} runs of {task.steps} steps, takes about {_RUNS * seconds:.2g} s"
    yield from task.notes()


def _ray() -> Check:
    from evosearch.workers.ray_cluster import RayExecutor

    found, problem = _attempt(lambda: RayExecutor(1).close())
    return Check("Ray", found, problem)


def describe() -> dict[str, Any]:
    """Return what has to be the same on every node, and what a node has."""
    import torch

    from evosearch.config.preflight import check_task
    from proxy_tasks.registry import TASKS

    tasks: dict[str, Any] = {}
    for name in TASKS:
        try:
            tasks[name] = dict(check_task(name, {}))
        except DataError as error:
            tasks[name] = str(error)
    shared = Path("/dev/shm")
    return {
        "versions": versions(),
        "tasks": tasks,
        "cores": cores(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "shared_memory": shutil.disk_usage(shared).free if shared.is_dir() else None,
    }


def _cluster(address: str) -> Iterator[Check]:
    """Compare each node of a cluster with this machine."""
    from evosearch.workers.ray_nodes import ask_nodes

    here = describe()
    try:
        for node, there, failure in ask_nodes(address, describe):
            if there is None:
                remedy = "install evosearch there, for the Python that runs Ray"
                yield Check(f"node {node}", "does not answer", f"{failure}; {remedy}")
                continue
            gpus = ", ".join(there["gpus"]) or "no GPU"
            yield Check(f"node {node}", f"{there['cores']} cores, {gpus}")
            yield from _differences(node, here, there)
    except ClusterError as error:
        yield Check("Ray", "not available", str(error))


def _differences(node: str, here: Mapping[str, Any], there: Mapping[str, Any]) -> Iterator[Check]:
    """Compare what a node says of itself with what this machine does."""
    from evosearch.config.preflight import require_same

    for name, version in here["versions"].items():
        other = there["versions"].get(name)
        if other != version:
            remedy = f"install {name} {version} there, or {other} here"
            yield Check(f"node {node}", f"{name} {other}, here {version}", remedy)
    for name, imprint in here["tasks"].items():
        other = there["tasks"].get(name, "the task is not known there; it travels with a search")
        if isinstance(imprint, str):
            continue  # it cannot be had here either
        try:
            if isinstance(other, str):
                raise DataError(other)
            require_same(name, imprint, other, "this machine")
        except DataError as error:
            yield Check(f"node {node}", f"task {name} differs", str(error), required=False)
    if there["shared_memory"] is not None and there["shared_memory"] < _SHARED:
        found = f"{there['shared_memory'] >> 20} MiB free in /dev/shm"
        yield Check(f"node {node}", found, "give its container more, as --shm-size=1g does")


def _attempt(action: Callable[[], object]) -> tuple[str, str]:
    """Return what to say of an action that succeeds or raises one of this package's errors."""
    start = time.perf_counter()
    try:
        action()
    except (ClusterError, ConfigError, DataError) as error:
        return "not available", str(error)
    return f"works ({time.perf_counter() - start:.2f} s)", ""
