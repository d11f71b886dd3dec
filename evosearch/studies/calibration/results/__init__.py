"""Measured scores of the panel: a file a preset, the map of single tasks, and a longer test."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from evosearch.studies.calibration.scoring import PanelScores, load

__all__ = ["MAP", "SCALE", "measured", "stored"]

MAP: Final = "map"
"""What the file of tasks by horizon and batch is called."""
SCALE: Final = "scale"
"""What the file of a longer test of our own is called."""


def stored(name: str) -> Mapping[str, PanelScores] | None:
    """Return the scores in the file of a preset, or another, by task; None where there is none."""
    path = files(__name__).joinpath(f"{name}.json")
    return load(path) if path.is_file() else None


def measured() -> tuple[str, ...]:
    """Return the presets whose scores are stored."""
    names = [path.name for path in files(__name__).iterdir() if path.name.endswith(".json")]
    found = sorted(name.removesuffix(".json") for name in names)
    return tuple(name for name in found if name not in (MAP, SCALE))
