"""The manifest: what a run was started with, so that it can be understood and repeated.

Configuration and seeds determine the history; versions, source revision and hardware say under what
conditions it came about.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from evosearch.config import Config

__all__ = ["DISTRIBUTIONS", "cores", "manifest", "revision", "versions"]

DISTRIBUTIONS: Final = (
    "evosearch",
    "torch",
    "llvmlite",
    "numpy",
    "scikit-learn",
    "scipy",
    "sympy",
    "ray",
    "pyarrow",
    "pydantic",
)
"""What a result may depend on, and what stores it."""


def manifest(config: Config) -> dict[str, Any]:
    """Return the first record of a new run."""
    return {
        "config": config.model_dump(mode="json"),
        "seeds": {"run": config.seed},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "versions": versions(),
        "source": revision(),
        "hardware": _hardware(),
    }


def versions() -> dict[str, str | None]:
    """Return the versions of Python and of what is installed; None for what is not."""
    return {"python": platform.python_version()} | {name: _version(name) for name in DISTRIBUTIONS}


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def revision() -> dict[str, Any] | None:
    """Return the git commit of this package's source, and whether it was changed since.

    None where the package does not lie in a git checkout of its own, or git is not there.
    """
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    commit, changes = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain", "-uno")
    if commit is None or changes is None:
        return None
    return {"commit": commit, "changed": bool(changes)}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _hardware() -> dict[str, Any]:
    import torch

    from proxy_tasks.choice import kernels

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "machine": platform.machine(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": cores(),
        "gpus": gpus,
        "products": kernels(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
