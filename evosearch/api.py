"""One call each for what `evosearch search` and `evosearch compare` do."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from evosearch.config.preflight import check_search, check_tasks
from evosearch.errors import UsageError
from evosearch.runs.run import Observe, Run
from evosearch.storage.journal import require_vacant
from evosearch.training.optimizer_class import OptimizerClass
from evosearch.workers.start import start_workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from evosearch.config.schema import Config
    from evosearch.language.rule import RuleSet
    from evosearch.studies.compare import Comparison
    from proxy_tasks.task import Task

__all__ = ["compare", "free_directory", "search"]


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
        workers: Processes that evaluate; one for each core unless given. 1: without Ray.
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
    check_search(config)
    with start_workers(workers, address, gpus_per_worker, config) as executor:
        return Run.create(place, config).search(executor, observe)


def compare(
    *optimizers: str | RuleSet | Callable[..., Any],
    tasks: Iterable[str | Path | Task] = ("digits_mlp",),
    seeds: int = 4,
    seed: int = 0,
    trials: int = 64,
    settings: Iterable[str] = (),
    workers: int = 1,
) -> Comparison:
    """Compare optimizers with tuned AdamW on the same tasks and seeds, which no search uses.

    Args:
        *optimizers: Each what `evosearch compare` takes, program text, a rule set such as
            ``candidate.program``, or a class of `torch.optim`'s kind that a module defines.
        tasks: Names from `evosearch tasks`, Python files that define ``TASKS``, or tasks of
            `evosearch.task`; a look at held-out ones is noted.
        seeds: Paired seeds a task.
        seed: What they are drawn from.
        trials: Settings of rates and constants that each may try on a task.
        settings: Changes of the configuration, as ``--set`` takes them.
        workers: Processes that evaluate. 1: without Ray.

    Raises:
        UsageError: Something of that is not what it should be.
    """
    from evosearch.config.schema import configure
    from evosearch.studies.compare import compare as compare_programs
    from evosearch.studies.held_out import note_look
    from evosearch.training.tuner import Descent

    labelled = [_contender(optimizer) for optimizer in optimizers]
    config = configure({}, settings, "the comparison", list(tasks))
    check_tasks(config)
    note_look("compare", config.task_names, [str(rules) for _, rules in labelled], seeds)
    with start_workers(workers, None, 0.0, config) as executor:
        descent = Descent(trials)
        return compare_programs(labelled, config, executor, seeds=seeds, seed=seed, descent=descent)


def _contender(optimizer: object) -> tuple[str, RuleSet | OptimizerClass]:
    """Return an optimizer with what to call it."""
    from evosearch.language.rule import RuleSet
    from evosearch.runs.named_program import NamedProgram, contender

    if isinstance(optimizer, str):
        found = contender(optimizer)
        return (
            (found.label, found.program)
            if isinstance(found, NamedProgram)
            else (
                optimizer,
                found,
            )
        )
    if isinstance(optimizer, RuleSet):
        return optimizer.name, optimizer
    if not callable(optimizer):
        raise UsageError(
            f"expected an optimizer's name, program text, a rule set or a class, found "
            f"{type(optimizer).__name__}"
        )
    made = OptimizerClass.of(optimizer)
    return str(made), made


def free_directory(label: str, seed: int) -> Path:
    """Return a directory below ``runs`` that does not exist yet."""
    stem = f"{label}-{seed}"
    names = (stem if n == 1 else f"{stem}-{n}" for n in count(1))
    return next(path for name in names if not (path := Path("runs") / name).exists())
