"""Data that tasks keep, and reading a user's files: where to look, and what is wrong with them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar, cast

import torch

__all__ = ["CARRIED", "PLACES", "TaskDataError", "folder", "kept", "located"]

CARRIED = "EVOSEARCH_CARRIED"
"""The environment variable, JSON, by which workers know data that travelled with their job."""
PLACES = "EVOSEARCH_DATA"
"""The environment variable that says where a machine has data: GIVEN=HERE, separated as in PATH."""

Load = TypeVar("Load", bound=Callable[..., object])


def kept(load: Load) -> Load:
    """Keep what a function returned for its last few arguments.

    The tensors are ordinary ones even where it is first called in inference mode, as it is by a
    gradient in training; autograd may use them later.
    """
    return cast(Load, lru_cache(maxsize=4)(torch.inference_mode(mode=False)(load)))


class TaskDataError(ValueError):
    """A data file that is missing or malformed: what was expected, what was found, what to do."""


def located(path: str) -> Path:
    """Return where the data are on this machine that a task was given by a path."""
    if (carried := json.loads(os.environ.get(CARRIED, "{}")).get(path)) is not None:
        return Path(carried)
    for pair in os.environ.get(PLACES, "").split(os.pathsep):
        given, sign, here = pair.partition("=")
        if sign and given == path:
            return Path(here).expanduser()
    return Path(path).expanduser()


def folder(path: str, content: str) -> Path:
    """Return the folder a task reads from.

    Args:
        path: What the user gave, possibly nothing.
        content: What belongs in it, for the error message.

    Raises:
        TaskDataError: There is no such folder.
    """
    if not path:
        raise TaskDataError(
            f"expected a folder with {content}, found no path; set the task's `path`"
        )
    root = located(path)
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise TaskDataError(
            f"expected a folder with {content} at {root}, found {found}; correct `path`"
        )
    return root
