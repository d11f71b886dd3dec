"""Paired tests: how often they are wrong, on scores that are drawn instead of trained for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from evosearch.errors import UsageError
from evosearch.studies.kept_scores import PairedScores
from evosearch.studies.noninferiority import NoninferiorityTest

SPREADS = {"steady": 0.1, "middling": 0.3, "noisy": 0.6}


@dataclass(frozen=True)
class Drawn(NoninferiorityTest):
    """Programs are named by their loss, and tasks by nothing but their spread."""

    random: np.random.Generator | None = None

    def compare(
        self, anchor: str, programs: Sequence[str], replicates: Sequence[int]
    ) -> list[PairedScores]:
        del anchor
        assert self.random is not None
        draw = self.random.normal
        return [
            PairedScores(
                {task: tuple(draw(-float(p), s, len(replicates))) for task, s in SPREADS.items()},
                trainings=0,
                seconds=0.0,
            )
            for p in programs
        ]


def passing(loss: float, tests: int = 800) -> float:
    """Return how often a program passes that is worse by so much."""
    exam = Drawn(random=np.random.default_rng(1))
    found = [exam.decide("", str(loss), 0)[0] for _ in range(tests)]
    return sum(test.low > -exam.margin for test in found) / tests


def test_a_loss_of_the_margin_passes_at_most_as_often_as_stated() -> None:
    assert passing(0.1) <= 0.05
    assert passing(0.15) <= 0.01


def test_what_loses_nothing_passes() -> None:
    assert passing(0.0) > 0.85


def test_a_test_ends_when_it_is_decided_and_uses_each_seed_once() -> None:
    exam = Drawn(random=np.random.default_rng(2))
    test, unused = exam.decide("", "5.0", first=100)
    assert unused == 100 + exam.seeds
    assert test.pairs == exam.seeds * len(SPREADS)
    close = [exam.decide("", "0.08", 0) for _ in range(20)]
    assert {unused for _, unused in close} >= {exam.seeds, exam.blocks * exam.seeds}


@pytest.mark.parametrize("setting", ["seeds", "screening", "blocks", "margin"])
def test_an_examination_that_cannot_decide_is_refused(setting: str) -> None:
    settings: dict[str, Any] = {setting: 0}
    with pytest.raises(UsageError, match="expected at least one task"):
        NoninferiorityTest(**settings)
