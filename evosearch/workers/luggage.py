"""What travels to a cluster's nodes by Ray's runtime environment: task files and small data.

Large data stay where they are; a node may have them elsewhere (``EVOSEARCH_DATA``), and wherever
they come from, a worker compares their digests with the driver's before it takes a job.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from proxy_tasks.data.cache import CARRIED
from proxy_tasks.user_tasks import VARIABLE, files

if TYPE_CHECKING:
    from evosearch.config.schema import Config

__all__ = ["pack"]

_SMALL: Final = 32 * 2**20
"""Bytes of a file or folder up to which it travels; Ray itself takes 512 MiB in all."""


def pack(config: Config, folder: Path) -> dict[str, Any]:
    """Copy what travels into a folder; return it as Ray's runtime environment.

    Args:
        config: Of the search.
        folder: An empty one, which has to last until Ray has taken it.
    """
    own, carried = [], {}
    for number, file in enumerate(files()):
        own.append(_copy(file, folder, f"tasks/{number}"))
    for number, path in enumerate(sorted(set(_paths(config)))):
        source = Path(path).expanduser()
        if _size(source) <= _SMALL:
            carried[path] = _copy(source, folder, f"data/{number}")
    variables = {VARIABLE: os.pathsep.join(own)} if own else {}
    if carried:
        variables[CARRIED] = json.dumps(carried)
    return {"working_dir": str(folder), "env_vars": variables} if variables else {}


def _paths(config: Config) -> Iterator[str]:
    """Yield the paths of data that tasks are given."""
    for name in config.task_names:
        for value in config.tasks.get(name, {}).values():
            if isinstance(value, str) and value and Path(value).expanduser().exists():
                yield value


def _copy(source: Path, folder: Path, place: str) -> str:
    """Copy a file or a folder; return where it is, seen from the folder that travels."""
    target = folder / place / source.name
    target.parent.mkdir(parents=True)
    (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
    return f"{place}/{source.name}"


def _size(path: Path) -> int:
    parts = path.rglob("*") if path.is_dir() else (path,)
    return sum(part.stat().st_size for part in parts if part.is_file())
