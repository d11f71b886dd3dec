"""Whether rules train alike for a thousand steps, and cores that do."""

import numpy as np
import pytest
from random_programs import bred

from evosearch.equivalence.agreement import agree, deviation
from evosearch.equivalence.fingerprint import fingerprint
from evosearch.equivalence.probes import LATE
from evosearch.equivalence.shrink import outline, shrink
from evosearch.equivalence.trajectory import Course
from evosearch.language.known import known
from evosearch.language.liveness import strip
from evosearch.language.parse import parse_rules
from primitives.table import OPS

STEEP = "a = cube(g); a = cube(a); a = cube(a); a = cbrt(a); a = cbrt(a); u = cbrt(a)"


def rule_of(body: str, states: str = ""):
    lines = body.replace("; ", "\n    ")
    given = "".join(f", {name}" for name in states.split())
    return parse_rules(f"def p(w, g{given}):\n    {lines}\n    return u{given}\n").matrix


@pytest.mark.parametrize("name", ["adamw", "lion", "muon", "adan", "radam", "came", "lookahead"])
def test_late_steps_are_those_of_the_plain_loop(name: str) -> None:
    """Averages are computed as filters, all steps at once; they only round otherwise."""
    rule = strip(known(name).matrix)
    course = Course(rule, LATE)
    (found,) = course.run().arrays
    w, g = (value.arrays[0] for value in course.table.inputs[:2])
    m, n = course.table.shapes[0]
    values = {}
    states = [np.zeros((2, *s.shape.sizes(m, n)), np.float32) for s in rule.states]
    with np.errstate(all="ignore"):
        for step in range(60):
            values = {"w": w[step], "g": g[step]}
            values |= {s.name: x for s, x in zip(rule.states, states, strict=True)}
            for s in rule.body:
                row = OPS[s.op]
                arguments = [values[a] if isinstance(a, str) else a for a in s.args]
                value = row.numpy(*arguments, *[step + 1.0] * row.uses_step)
                values[s.target] = np.asarray(value).astype(np.float32)
            states = [values[s.name] for s in rule.states]
    np.testing.assert_allclose(found[59], values[rule.update], rtol=2e-2, atol=1e-6)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("u = g * 1.0", "u = g * 3.0", True),
        ("u = g * 1.0", "u = g * -3.0", False),
        ("m = lerp(m, g, 0.1); u = m * 1.0", "m = heavy_ball(m, g, 0.9); u = m * 1.0", True),
        ("u = sign(g)", "a = square(g); a = sqrt(a); a = a + 1e-12; u = g / a", True),
        ("u = sign(g)", "a = square(g); a = sqrt(a); a = a + 1e-5; u = g / a", False),
        ("u = g * 1.0", "a = step(); a = 700.5 - a; u = select(a, g, w)", False),
        ("u = g * 1.0", STEEP, False),
        ("u = g * 1.0", "a = g * 1e38; a = a * 10.0; u = a * 1e-39", False),
    ],
)
def test_agreement_is_late_and_in_float32(first: str, second: str, same: bool) -> None:
    rules = [rule_of(body, "m" if "m = " in body else "") for body in (first, second)]
    assert agree(*rules) == agree(*rules[::-1]) == same


def test_what_weights_keep_is_part_of_it() -> None:
    assert not agree(rule_of("u = g * 1.0"), rule_of("u = keep_norm(g)"))


def test_values_that_are_not_finite_have_to_be_so_in_both() -> None:
    a = np.ones((3, 2, 4))
    b = a.copy()
    b[1, 0, 2] = np.nan
    assert deviation(a, b) == np.inf
    assert deviation(b, b) == 0.0


@pytest.mark.parametrize(
    "body", [STEEP, "a = step(); a = a - 300.5; a = maximum(a, 0.0); b = a * w; u = g + b"]
)
def test_a_core_is_what_its_program_is_late(body: str) -> None:
    rules = parse_rules(str(rule_of(body)))
    core = shrink(rules)
    assert agree(rules.matrix, core.matrix)
    assert len(core.matrix.body) >= len(outline(rules).matrix.body)
    assert fingerprint(core) == fingerprint(rules)


def test_cores_of_random_programs_agree() -> None:
    for seed in range(40):
        rules = bred(seed)
        assert agree(strip(rules.matrix), shrink(rules).matrix), str(rules)
