"""A task's baseline as a run's journal knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from evosearch.training.score import Score, mean_score

__all__ = ["RecordedBaseline"]


@dataclass(frozen=True)
class RecordedBaseline:
    """AdamW as it was tuned on a task before the search, which scores refer to."""

    task: str
    program: str
    """Its text, with the constants that were chosen."""
    values: tuple[float | None, ...]
    """Its end value on each replicate; None where it was not finite."""
    edge: bool
    """Whether its best learning rate lies at the edge of the extended grid."""
    imprint: Mapping[str, Any] | None
    """Of the task's data and code (`evosearch.config.preflight`); older runs have none."""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """Read a `reference` record."""
        return cls(
            task=record["task"],
            program=record.get("program", ""),
            values=tuple(record["values"]),
            edge=record.get("edge", False),
            imprint=record.get("info", {}).get("imprint"),
        )

    @property
    def finite(self) -> list[float]:
        """Its end values, those that are finite."""
        return [value for value in self.values if value is not None]

    @property
    def mean(self) -> Score | None:
        """The mean of these, with its standard error; None where there are none."""
        return mean_score(self.finite) if self.finite else None
