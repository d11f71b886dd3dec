"""What can be known to fail before a search starts, so that nothing is written or waited for.

What a task is beyond its name and fields, its data and its code, leaves an imprint. It is kept with
the baselines, and scores are only ever compared under one imprint: another file, another node or
another version of the task is refused.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from evosearch.errors import DataError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from evosearch.config.schema import Config
    from proxy_tasks.task import Task

__all__ = ["Imprint", "check_search", "check_task", "check_tasks", "require_same"]

Imprint = Mapping[str, Any]
"""Plain JSON: digests of a task's ``data`` and ``code`` (None where it reads nothing, or comes with
this package), its ``losses`` at the initial weights, on a minibatch and on the validation, and
``notes`` on how it is computed, where there are any."""

_LANES: Final = 2
"""How many models are tried: one hides a loss that mixes lanes."""
_ROUNDING: Final = 1e-3
"""Of a loss on another processor, relative."""


def check_search(config: Config) -> dict[str, Imprint]:
    """Refuse held-out tasks, and read the data of the others; return their imprints.

    Raises:
        UsageError: A task is held out for good.
        DataError: A task's data cannot be read.
    """
    from proxy_tasks.registry import refuse_held_out

    try:
        refuse_held_out(config.task_names, "a search")
    except ValueError as error:
        raise UsageError(str(error)) from None
    return check_tasks(config)


def check_tasks(config: Config) -> dict[str, Imprint]:
    """Read the data of a search's tasks, so that what is missing shows before anything is written.

    Returns:
        The imprint of each, by the key of the task in results.

    Raises:
        DataError: A task's data cannot be read, or it is not what a task should be.
    """
    return {
        str(config.task(name)): check_task(name, config.tasks.get(name, {}))
        for name in config.task_names
    }


def check_task(name: str, overrides: Mapping[str, Any]) -> Imprint:
    """Read a task's data, measure its initial weights, train nothing; return its imprint.

    Raises:
        DataError: The data cannot be read, or the task fails, or its losses are not finite numbers,
            one for each lane.
    """
    from proxy_tasks.data.cache import TaskDataError as Missing
    from proxy_tasks.registry import get

    try:
        return _imprint(name, get(name, **overrides))
    except DataError:
        raise
    except Missing as error:
        raise DataError(f"task `{name}`: {error}") from None
    except SystemExit as error:
        raise DataError(
            f"task `{name}` asked to exit ({error.code}), when one step was tried"
        ) from None
    except Exception as error:  # a task of the user's own may be anything
        raise DataError(
            f"task `{name}` raised {type(error).__name__}: {error}, when one step was tried; "
            "with --debug before the command there is a traceback"
        ) from error


def require_same(task: str, before: Imprint, now: Imprint, where: str) -> None:
    """Check that a task is what it was.

    Args:
        task: Its key.
        before: Its imprint when its baseline was tuned.
        now: Its imprint here.
        where: What is refused otherwise, for the message.

    Raises:
        DataError: It is not.
    """
    different = [
        f"its {part}: {_short(before.get(part))} then, {_short(now.get(part))} now"
        for part in ("data", "code")
        if before.get(part) != now.get(part)
    ]
    pairs = zip(before.get("losses", ()), now.get("losses", ()), strict=False)
    if not different and not all(math.isclose(a, b, rel_tol=_ROUNDING) for a, b in pairs):
        then, here = ([f"{x:.6g}" for x in i["losses"]] for i in (before, now))
        different = [f"its losses at the initial weights: {then} then, {here} now"]
    if different:
        raise DataError(
            f"task {task} is not what {where} compares with: {'; '.join(different)}. Scores of "
            "different data do not compare: restore what it read before, or start a new run"
        )


def _imprint(name: str, task: Task) -> Imprint:
    import torch

    from proxy_tasks.registry import TASKS

    initial = task.initialize(0)
    weights = {key: torch.stack([value] * _LANES) for key, value in initial.items()}
    batch = tuple(torch.stack([data[0]] * _LANES) for data in task.draw(0))
    validation = tuple(torch.stack([data] * _LANES) for data in task.validation(0))
    with torch.no_grad():
        losses = [
            _mean(name, "loss", task.loss(weights, batch)),
            _mean(name, "evaluate", task.evaluate(weights, validation)),
        ]
    file = TASKS[name].file
    code = (file.read_bytes() if file else b"") + task.code().encode()
    return {
        "data": _digest(task.content()),
        "code": hashlib.sha256(code).hexdigest() if code else None,
        "losses": losses,
    } | ({"notes": list(task.notes())} if task.notes() else {})


def _mean(name: str, method: str, values: Tensor) -> float:
    """Return the mean of what a task's method gave, which should be a number for each lane.

    Raises:
        DataError: It is not.
    """
    if tuple(values.shape) != (_LANES,):
        raise DataError(
            f"task `{name}`: expected `{method}` to return one number for each lane, shape (L,), "
            f"found shape {tuple(values.shape)} for L = {_LANES}. Average over all dimensions but "
            "the first"
        )
    if not bool(values.isfinite().all()):
        raise DataError(
            f"task `{name}`: expected `{method}` to be finite at the initial weights, found "
            f"{values.tolist()}. Correct the data, or how the weights begin"
        )
    return float(values.double().mean())


def _digest(parts: tuple[Tensor, ...]) -> str | None:
    """Return the SHA-256 of integers, their shapes and types; None where there are none."""
    if not parts:
        return None
    total = hashlib.sha256()
    for part in parts:
        total.update(f"{part.dtype}{tuple(part.shape)}".encode())
        total.update(part.cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def _short(digest: Any) -> str:
    return "none" if digest is None else f"{digest[:12]}..."
