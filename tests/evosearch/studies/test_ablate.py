"""Measured simplification: harmless things go, what matters stays, and every test is on record."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from zlib import crc32

import pytest

from evosearch.errors import UsageError
from evosearch.language.parse import parse_rules
from evosearch.simplify import Simplified, simplify
from evosearch.studies.ablate import approximate, round_to
from evosearch.studies.kept_scores import KeptScores, PairedScores
from evosearch.studies.noninferiority import NoninferiorityTest, cheap_tasks
from evosearch.training.job import TaskRef
from evosearch.training.lr_grid import Grid
from primitives.op import Constant
from proxy_tasks.registry import TASKS
from proxy_tasks.task import Split

QUICK = NoninferiorityTest(
    tasks=(TaskRef("varying_batch"), TaskRef("varying_batch_wide", {"steps": 300})),
    margin=0.3,
    seeds=8,
    screening=4,
    grid=Grid(rates=5, ratios=(1.0,)),
)
RAW = """
def clipped(w, g, m):
    x = clip(g, 90000.0)
    c = lerp(m, x, 0.1013)
    s = sign(c)
    m = lerp(m, x, 0.0507)
    return s, m
"""


@pytest.fixture(scope="module")
def result() -> Simplified:
    return approximate(simplify(parse_rules(RAW)), QUICK)


def test_what_does_nothing_is_left_out_and_constants_become_round(result: Simplified) -> None:
    assert [str(s) for s in result.program.matrix.body] == [
        "c = lerp(m, g, 0.1)",
        "u = sign(c)",
        "m = lerp(m, g, 0.05)",
    ]
    assert str(result.recognition) == "Lion with β = (0.9, 0.95)"


def test_every_measured_step_has_its_test(result: Simplified) -> None:
    measured = [s for s in result.steps if s.stage in ("ablation", "rounding", "confirmation")]
    assert {s.stage for s in measured} == {"ablation", "rounding", "confirmation"}
    for step in measured:
        assert step.test is not None
        assert step.test.low <= step.test.difference <= step.test.high
        assert step.test.trainings > 0
        assert step.accepted == (step.test.low > -QUICK.margin and bool(step.program))
    assert any(not step.accepted for step in measured)


def test_the_sign_is_not_left_out(result: Simplified) -> None:
    (step,) = [s for s in result.steps if s.before.startswith("sign(lerp(m, g")]
    assert not step.accepted
    assert step.test is not None
    assert step.test.difference < -0.5


def test_the_story_tells_the_cost(result: Simplified) -> None:
    story = result.story()
    assert "training runs" in story
    assert "Tasks: varying_batch, varying_batch_wide[steps=300]" in story
    assert "This is Lion with β = (0.9, 0.95)." in story
    json.dumps(result.to_json(), allow_nan=False)


class _Killed(Exception):
    pass


@dataclass(frozen=True)
class Invented(NoninferiorityTest):
    """A test whose scores follow from the text of a program and the seed, without training."""

    trained: list[str] = field(default_factory=list)
    """Every program that would have been trained."""

    def _trained(
        self, anchor: str, programs: Sequence[str], replicates: Sequence[int]
    ) -> list[PairedScores]:
        del anchor
        self.trained.extend(programs)
        return [
            PairedScores({"invented": tuple(map(self._score(text), replicates))}, 10, 2.0)
            for text in programs
        ]

    def _score(self, text: str) -> Callable[[int], float]:
        level = crc32(text.encode()) % 7 / 10 - 0.4
        return lambda seed: level + crc32(f"{text}{seed}".encode()) % 100 / 1000


def test_killed_and_started_again_it_ends_the_same_and_trains_nothing_twice(
    tmp_path: Path,
) -> None:
    exact = simplify(parse_rules(RAW))
    whole = Invented()
    undisturbed = approximate(exact, whole)
    kept = Invented(kept=KeptScores(tmp_path / "measured", {}))
    told: list[str] = []

    def kill(text: str) -> None:
        told.append(text)
        if len(told) == 2:
            raise _Killed

    with pytest.raises(_Killed):
        approximate(exact, kept, kill)
    assert approximate(exact, kept, told.append) == undisturbed
    assert kept.trained == whole.trained
    assert told[0].startswith("round 1 of at most 10, leave out: ")
    assert "more" in told[-1], "how long it may take"
    other = Invented(kept=KeptScores(tmp_path / "measured", {"invented": {"data": "other"}}))
    approximate(exact, other)
    assert other.trained == whole.trained, "what was measured on other data does not count"


@pytest.mark.slow
def test_real_trainings_are_read_as_they_were(result: Simplified, tmp_path: Path) -> None:
    exact = simplify(parse_rules(RAW))
    kept = replace(QUICK, kept=KeptScores(tmp_path / "measured", {}))
    first = approximate(exact, kept)
    assert _timeless(first) == _timeless(result)
    assert approximate(exact, kept) == first


def _timeless(found: Simplified) -> list[object]:
    """Return the steps, without the seconds that their tests took."""
    tests = [s.test and replace(s.test, seconds=0.0) for s in found.steps]
    return [replace(s, test=test) for s, test in zip(found.steps, tests, strict=True)]


@pytest.mark.parametrize("budget", [10, 60])
def test_its_budget_is_the_most_that_is_trained(budget: int) -> None:
    test = Invented(budget=budget)
    approximate(simplify(parse_rules(RAW)), test)
    begun = 10 * (8 + test.blocks)  # one screening, or one test; and the confirmation
    assert budget <= 10 * len(test.trained) < budget + 2 * begun


def test_without_a_budget_nothing_is_trained() -> None:
    exact = simplify(parse_rules(RAW))
    none = NoninferiorityTest(tasks=QUICK.tasks, budget=0)
    assert approximate(exact, none) == exact


def test_weight_decay_is_not_left_out() -> None:
    text = "def f(w, g):\n    s = sign(g)\n    d = w * 0.01\n    u = s + d\n    return u\n"
    found = approximate(simplify(parse_rules(text)), QUICK)
    assert "decay" in str(found.program)


def test_a_program_that_trains_nowhere_is_refused() -> None:
    text = "def f(w, g):\n    a = abs(g)\n    b = log(a)\n    u = sqrt(b)\n    return u\n"
    with pytest.raises(UsageError, match="trains on none of"):
        approximate(simplify(parse_rules(text)), QUICK)


def test_held_out_tasks_take_no_part() -> None:
    assert cheap_tasks()
    assert all(TASKS[ref.name].split is not Split.HELD_OUT for ref in cheap_tasks())


@pytest.mark.parametrize(
    ("value", "digits", "kind", "expected"),
    [
        (0.101, 1, Constant.RATE, 0.1),
        (0.9493, 1, Constant.DECAY, 0.95),
        (0.9493, 2, Constant.DECAY, 0.949),
        (0.99731, 1, Constant.RATE, 0.997),
        (0.9493, 1, Constant.GAIN, 0.9),
        (-2.46, 2, Constant.EXPONENT, -2.5),
        (1e-08, 1, Constant.GAIN, 1e-08),
    ],
)
def test_rounding(value: float, digits: int, kind: Constant, expected: float) -> None:
    assert round_to(value, digits, kind) == expected
