"""The manifest: what a run was started with, so that it can be understood and repeated.

Configuration and seeds determine the history; versions, source revision and hardware say under what
conditions it came about.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from evosearch.hardware import hardware

if TYPE_CHECKING:
    from evosearch.config.schema import Config

__all__ = ["DISTRIBUTIONS", "manifest", "revision", "versions"]

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
    from proxy_tasks.user_tasks import files

    return {
        "config": config.model_dump(mode="json"),
        "seeds": {"run": config.seed},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "own_tasks": [str(path.resolve()) for path in files()],
        "versions": versions(),
        "source": revision(),
        "hardware": hardware(),
    }


def versions() -> dict[str, str | None]:
    """Return the versions of Python and of what is installed; None for what is not."""
    return {"python": platform.python_version()} | {name: _version(name) for name in DISTRIBUTIONS}


def revision() -> dict[str, Any] | None:
    """Return the git commit of this package's source, and whether it was changed since.

    None where the package does not lie in a git checkout of its own, or git is not there.
    """
    root = Path(__file__).resolve().parents[2]
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
