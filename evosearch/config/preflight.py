"""What can be known to fail before a search starts, so that nothing is written or waited for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from evosearch.errors import DataError, UsageError

if TYPE_CHECKING:
    from evosearch.config.schema import Config

__all__ = ["check_search", "check_task", "check_tasks"]


def check_search(config: Config) -> None:
    """Refuse held-out tasks, and read the data of the others.

    Raises:
        UsageError: A task is held out for good.
        DataError: A task's data cannot be read.
    """
    from proxy_tasks.registry import refuse_held_out

    try:
        refuse_held_out(config.task_names, "a search")
    except ValueError as error:
        raise UsageError(str(error)) from None
    check_tasks(config)


def check_tasks(config: Config) -> None:
    """Read the data of a search's tasks, so that what is missing shows before anything is written.

    Raises:
        DataError: A task's data cannot be read.
    """
    for name in config.task_names:
        check_task(name, config.tasks.get(name, {}))


def check_task(name: str, overrides: Mapping[str, Any]) -> None:
    """Read a task's data: take one of its minibatches and its examination, and train nothing.

    Raises:
        DataError: The data cannot be read, or the task fails.
    """
    import torch

    from proxy_tasks.data.cache import DataError as Missing
    from proxy_tasks.registry import get

    try:
        task = get(name, **overrides)
        weights = {key: value[None] for key, value in task.initialize(0).items()}
        batch = tuple(data[None, 0] for data in task.draw(0))
        task.examination(0)
        with torch.no_grad():
            task.loss(weights, batch)
    except Missing as error:
        raise DataError(f"task `{name}`: {error}") from None
    except Exception as error:  # a task of the user's own may be anything
        raise DataError(
            f"task `{name}` raised {type(error).__name__}: {error}, when one step was tried; "
            "with --debug before the command there is a traceback"
        ) from error
