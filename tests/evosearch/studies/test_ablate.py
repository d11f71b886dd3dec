"""Measured simplification: harmless things go, what matters stays, and every test is on record."""

import json

import pytest

from evosearch.errors import UsageError
from evosearch.language.parse import parse_rules
from evosearch.simplify import Simplified, simplify
from evosearch.studies.ablate import approximate, round_to
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
