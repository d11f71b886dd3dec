"""Simplification: what it finds, that it is exact, and that it never makes things worse."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from interpreter import initial_states, run

from benchmarks.bloat import bloated
from benchmarks.random_rule import random_rule
from evosearch.language.known import known
from evosearch.language.library import LIBRARY
from evosearch.language.parse import parse_rules
from evosearch.language.rule import Rule
from evosearch.mutation.rng import Rng
from evosearch.recognize.recognize import recognize
from evosearch.simplify import simplify, simplify_rule

FORMED = [name for name, row in LIBRARY.items() if row.form]
"""What is recognized with any constants."""

EXAMPLES = Path(__file__).parents[3] / "examples" / "programs"


def updates(rule: Rule, seed: int = 0) -> np.ndarray:
    """Run the reference interpreter, which shares no code with the simplifier's probes."""
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(3, 5, 4, generator=generator, dtype=torch.float64)
    size = torch.tensor([1.0, 1e-5, 1e5], dtype=torch.float64).reshape(3, 1, 1)
    states = initial_states(rule, w)
    result = []
    for t in range(1, 21):
        g = size * torch.randn(3, 5, 4, generator=generator, dtype=torch.float64)
        g[:, 0, 0] = 0.0
        if t in (8, 9):
            g = torch.zeros_like(g)
        u, states = run(rule, w, g, t, states)
        result.append(u.expand_as(w).numpy())
        w = w + 0.01 * torch.randn(3, 5, 4, generator=generator, dtype=torch.float64)
    return np.stack(result)


def simple(body: str, states: str = "", exact: bool = True) -> str:
    """Return the simplified body of a rule, its statements joined by semicolons."""
    lines = "".join(f"    {line.strip()}\n" for line in body.split(";"))
    parameters, results = ", ".join(["w", "g", *states.split()]), ", ".join(["u", *states.split()])
    text = f"def candidate({parameters}):\n{lines}    return {results}\n"
    final = simplify(parse_rules(text), exact=exact).program.matrix
    return "; ".join([*map(str, final.body), f"return {final.update}"])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # signs and magnitudes, with what happens at 0
        ("a = g * g; b = sqrt(a); u = g / b", "u = sign(g); return u"),
        ("a = square(g); b = rsqrt(a); u = b * g", "u = sign(g); return u"),
        ("a = abs(g); u = a / g", "u = sign(g); return u"),
        ("a = sign(g); u = a * g", "u = abs(g); return u"),
        ("a = sign(g); b = abs(g); u = a * b", "return g"),
        ("a = g * 3.0; b = tanh(a); u = sign(b)", "u = sign(g); return u"),
        ("a = cube(g); b = square(g); u = a / b", "return g"),
        ("a = cube(g); b = cbrt(a); u = b * 1.0", "return g"),
        # what is 1 except at 0 is not 1
        ("a = sign(g); u = a * a", "s = sign(g); u = square(s); return u"),
        ("u = g / g", "u = g / g; return u"),
        ("a = arctan(g); b = cosh(a); c = b / b; u = c * g", "return g"),
        # sums
        (
            "a = g * 0.25; b = w * 0.75; c = a + b; u = tanh(c)",
            "x1 = lerp(w, g, 0.25); u = tanh(x1); return u",
        ),
        ("a = w - w; u = g + a", "return g"),
        ("a = neg(g); b = w - a; u = b + 0.0", "u = g + w; return u"),
        ("a = 2.0 * w; b = a + 3.0; c = b - 3.0; u = c * g", "u = g * w; return u"),
        # laws of the table
        ("a = normalize(g); u = rms_normalize(a)", "u = rms_normalize(g); return u"),
        ("a = norm(g); u = g / a", "u = normalize(g); return u"),
        (
            "a = transpose(g); b = newton_schulz5(a); u = transpose(b)",
            "u = newton_schulz5(g); return u",
        ),
        ("a = neg(g); b = newton_schulz5(a); u = neg(b)", "u = newton_schulz5(g); return u"),
        (
            "a = newton_schulz5(g); u = newton_schulz5(a)",
            "o = newton_schulz5(g); u = newton_schulz5(o); return u",
        ),
        ("a = abs(g); b = cos(a); c = cos(g); d = b - c; u = g + d", "return g"),
        ("a = abs(g); u = maximum(a, a)", "u = abs(g); return u"),
        # the learning rate takes positive factors of the update
        ("a = g * 3.0; u = a / 0.5", "return g"),
        (
            "a = sign(g); b = a * 2.0; c = w * 0.1; u = b + c",
            "s = sign(g); decay = w * 0.05; u = s + decay; return u",
        ),
        ("u = neg(g)", "u = neg(g); return u"),
    ],
)
def test_identities(body: str, expected: str) -> None:
    assert simple(body) == expected


@pytest.mark.parametrize(
    ("body", "states", "expected"),
    [
        # Nesterov: read after its update, the average has round constants
        (
            "m = heavy_ball(m, g, 0.9); u = heavy_ball(m, g, 0.9)",
            "m",
            "m = lerp(m, g, 0.1); u = lerp(g, m, 0.9); return u",
        ),
        # a chain of lerps through a state
        (
            "c = lerp(g, m, 0.9); m = lerp(g, c, 1.1); u = sign(c)",
            "m",
            "c = lerp(m, g, 0.1); u = sign(c); m = lerp(m, g, 0.01); return u",
        ),
        # two states, one of them three times the other
        (
            "a = lerp(a, g, 0.1); x = g * 0.3; b = heavy_ball(b, x, 0.9); c = a + b; u = sign(c)",
            "a b",
            "m = lerp(m, g, 0.1); u = sign(m); return u",
        ),
        # a state that never leaves zero
        ("z = z * 0.5; u = g + z", "z", "return g"),
        # a state that is overwritten before it is read
        (
            "s = cosh(w); s = lerp(g, w, 0.5); u = s * g",
            "s",
            "x1 = lerp(g, w, 0.5); u = x1 * g; return u",
        ),
        # the value that a state will have is read, too
        ("m = lerp(m, g, 0.1); u = m - m; u = u + m", "m", "m = lerp(m, g, 0.1); return m"),
    ],
)
def test_states(body: str, states: str, expected: str) -> None:
    assert simple(body, states) == expected


def test_a_tolerance_is_used_only_where_it_is_asked_for() -> None:
    body = "a = g * 2.0; u = newton_schulz5(a)"
    assert simple(body) == "x1 = g * 2.0; u = newton_schulz5(x1); return u"
    assert simple(body, exact=False) == "u = newton_schulz5(g); return u"


def test_lions_raw_program() -> None:
    raw = parse_rules((EXAMPLES / "lion_raw.program").read_text())
    found = simplify(raw)
    assert str(found.program.matrix) == (
        "def lion_raw(w, g, m):\n"
        "    clipped = clip(g, 1.0)\n"
        "    x1 = arcsin(clipped)\n"
        "    c = lerp(m, x1, 0.101)\n"
        "    s = sign(c)\n"
        "    decay = w * 0.4602\n"
        "    u = s + decay\n"
        "    m = lerp(m, x1, 0.003009)\n"
        "    return u, m\n"
    )
    assert found.factor() == pytest.approx(0.0002, rel=1e-12)
    np.testing.assert_allclose(
        found.factor() * updates(found.program.matrix), updates(raw.matrix), rtol=1e-9
    )


COMES_BACK = [name for name in FORMED if name != "moonlight_muon"]
"""Of an average with another scale that one keeps a factor in front of its Newton-Schulz steps."""


@pytest.mark.parametrize("name", COMES_BACK)
@pytest.mark.parametrize("seed", range(5))
def test_bloated_programs_come_back(name: str, seed: int) -> None:
    tied = known(name).matrix
    plain = replace(tied, body=tuple(replace(s, ties=()) for s in tied.body))  # names are lost
    canonical, _, _ = simplify_rule(plain)
    raw = bloated(plain, Rng(seed, "simplify", name), rewrites=4 + 2 * seed)
    found, _, _ = simplify_rule(raw)
    assert [str(s) for s in found.body] == [str(s) for s in canonical.body]


def test_random_programs_keep_their_function() -> None:
    for seed in range(80):
        rng = Rng(seed, "simplify")
        raw = random_rule(rng, 1 + rng.below(30))
        found = simplify(parse_rules(str(raw)))
        final = found.program.matrix
        assert len(final.body) <= len(raw.body), raw
        assert len(final.states) <= len(raw.states), raw
        assert parse_rules(str(found.program)) == found.program
        with np.errstate(all="ignore"):
            before, after = updates(raw), found.factor() * updates(final)
            size = np.maximum.accumulate(np.where(np.isfinite(before), np.abs(before), 0.0), axis=0)
            close = np.abs(after - before) <= 1e-7 * size
        same = (before == after) | (np.isnan(before) & np.isnan(after))
        assert (close | same).mean() > 0.999, raw


def test_simplifying_twice_changes_nothing() -> None:
    for name in (*FORMED, "adopt", "adan", "normuon", "scion", "lars", "came"):
        once = simplify(known(name)).program
        assert simplify(once).program == once


def test_steps_are_checked_and_rejected() -> None:
    """(g + w) - w is g, but not with 1e-6 beside 1 in float64 after cubing it down."""
    text = "def lossy(w, g):\n    a = cube(g)\n    b = a + w\n    u = b - w\n    return u\n"
    found = simplify(parse_rules(text))
    assert [s.op for s in found.program.matrix.body] == ["cube", "add", "sub"]
    assert found.rejected
    assert all(step.deviation > 1e-9 for step in found.rejected)
    assert "REJECTED" in found.story()


def test_every_accepted_step_can_be_checked_again() -> None:
    raw = parse_rules((EXAMPLES / "lion_raw.program").read_text())
    found = simplify(raw)
    reference, factor = updates(raw.matrix), 1.0
    for step in found.accepted:
        factor *= step.factor
        rule = parse_rules(step.program).matrix
        np.testing.assert_allclose(
            factor * updates(rule), reference, rtol=1e-9, err_msg=step.identity
        )
        assert step.deviation <= 1e-9
        assert step.licence


def test_both_rules_are_simplified() -> None:
    text = (
        "def two(w, g):\n    a = neg(g)\n    b = newton_schulz5(a)\n    u = neg(b)\n    return u\n"
        "def rest(w, g):\n    a = abs(g)\n    u = g / a\n    u = u * 3.0\n    return u\n"
    )
    found = simplify(parse_rules(text))
    assert str(found.program) == (
        "def two(w, g):\n    u = newton_schulz5(g)\n    return u\n\n\n"
        "def rest(w, g):\n    u = sign(g)\n    return u\n"
    )
    assert found.factor() == 1.0
    assert found.factor("rest") == 3.0
    assert {step.rule for step in found.steps} == {"matrix", "rest"}


def test_the_story_and_its_data() -> None:
    found = simplify(known("nesterov"), recognize=recognize)
    story = found.story()
    assert "Multiply the learning rate by 10" in story
    assert "This is Nesterov SGD with momentum 0.9." in story
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert data["original"] == str(known("nesterov"))
    assert data["program"] == str(found.program)
    assert data["recognition"]["name"] == "nesterov"
    assert [step["accepted"] for step in data["steps"]] == [True] * len(found.steps)


def test_rounding_errors_of_constants_are_no_progress() -> None:
    """Sums with awkward constants, such as thirds, must settle like any other."""
    body = "x = m * 0.5882352941176471; c = lerp(x, g, 0.001); a = neg(c); u = c * a; m = c * 1.7"
    lines = "".join(f"    {line.strip()}\n" for line in body.split(";"))
    raw = parse_rules(f"def f(w, g, m):\n{lines}    return u, m\n")
    found = simplify(raw)
    assert len(found.steps) < 20
    assert str(found.program.matrix.body[0]) == "m = lerp(m, g, 0.001)"


def test_states_that_mirror_each_other_are_merged_together() -> None:
    """Neither pair is equal by itself: a = c needs b = d, and the other way round."""
    body = (
        "x = square(g); a = lerp(b, g, 0.1); y = b * x; c = lerp(d, g, 0.1); z = d * x;"
        "b = lerp(a, y, 0.5); d = lerp(c, z, 0.5); u = a + c"
    )
    lines = "".join(f"    {line.strip()}\n" for line in body.split(";"))
    found = simplify(parse_rules(f"def f(w, g, a, b, c, d):\n{lines}    return u, a, b, c, d\n"))
    assert len(found.program.matrix.states) == 1


def test_states_that_are_equal_by_chance_are_kept_apart() -> None:
    """They part at step 60, which no trajectory of 50 steps can show."""
    body = "a = lerp(a, g, 0.1); x = step(); y = x - 60.0; z = maximum(y, 0.0); z = z * g"
    text = (
        f"def f(w, g, a, b):\n{''.join(f'    {s.strip()}{chr(10)}' for s in body.split(';'))}"
        "    b = lerp(b, g, 0.1)\n    b = b + z\n    u = a * b\n    return u, a, b\n"
    )
    assert len(simplify(parse_rules(text)).program.matrix.states) == 2
