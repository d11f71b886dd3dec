from __future__ import annotations

import os
import subprocess
import sys
from itertools import accumulate, combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from random_programs import programs, raw, rules

from evosearch.equivalence.fingerprint import fingerprint, rule_fingerprint
from evosearch.equivalence.probes import LONG, PROBE_SHAPES, SHORT, ProbeTable
from evosearch.equivalence.trajectory import trajectory
from evosearch.language.known import KNOWN, default_rest, known
from evosearch.language.liveness import strip, strip_rules
from evosearch.language.parse import parse_rules
from evosearch.language.rule import Rule, RuleSet, State, Statement
from evosearch.training.baseline import adamw
from evosearch.training.codegen import compile_rules
from primitives.table import OPS


def rule_of(body: str, result: str = "u") -> Rule:
    states = "".join(f", {name}" for name in result.split(", ")[1:])
    lines = "".join(f"    {line}\n" for line in body.split("; ") if line)
    return parse_rules(f"def f(w, g{states}):\n{lines}    return {result}\n").matrix


def step_by_step(rule: Rule) -> np.ndarray:
    """Run a rule on the probes in the plainest way: by step, by matrix, by statement."""
    columns = []
    weights, gradients = (value.arrays[0] for value in SHORT.flat.inputs[:2])
    ends = accumulate(m * n for m, n in PROBE_SHAPES)
    for (m, n), end in zip(PROBE_SHAPES, ends, strict=True):
        states = [np.zeros(state.shape.sizes(m, n)) for state in rule.states]
        updates = []
        for step in range(SHORT.flat.steps):
            w, g = (
                probe[step, 0, end - m * n : end].reshape(m, n) for probe in (weights, gradients)
            )
            values = {"w": w, "g": g} | {
                s.name: x for s, x in zip(rule.states, states, strict=True)
            }
            for statement in rule.body:
                op = OPS[statement.op]
                arguments = [values[a] if isinstance(a, str) else a for a in statement.args]
                values[statement.target] = op.numpy(
                    *arguments, *[SHORT.flat.times[step]] * op.uses_step
                )
            states = [values[state.name] for state in rule.states]
            updates.append(values[rule.update].ravel())
        columns.append(np.stack(updates))
    return np.concatenate(columns, axis=1)


@given(rules())
@settings(max_examples=150)
def test_trajectories_are_those_of_the_plain_loop(rule: Rule) -> None:
    with np.errstate(all="ignore"):
        expected = step_by_step(rule)
    found = trajectory(rule)
    assert found.shape == expected.shape == (SHORT.flat.steps, sum(m * n for m, n in PROBE_SHAPES))
    if np.isfinite(expected).all() and np.abs(expected).max() < 1e6:
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    else:
        assert not (np.isfinite(found).all() and np.abs(found).max() < 1e5)


def test_long_trajectories_are_those_of_the_plain_loop_too() -> None:
    """The short probes are the first steps of the long ones, but for the number of the last."""
    rule = rule_of("m = lerp(m, g, 0.1); c = normalize(m); u = sign(c)", "u, m")
    found = trajectory(rule, LONG)
    assert len(found) == LONG.flat.steps == LONG.matrices.steps
    np.testing.assert_array_equal(found[: SHORT.flat.steps], step_by_step(rule))
    assert SHORT.flat.times[:3] == LONG.flat.times[:3]


def test_rates_are_told_apart_behind_a_sign() -> None:
    """A few signs would not tell an average of ten gradients from one of fifty."""
    for body in ("m = lerp(m, g, {}); u = sign(m)", "m = lerp(m, g, {}); u = clip(m, 1e-09)"):
        rates = [0.02 * 1.2**k for k in range(16)]
        prints = {rule_fingerprint(rule_of(body.format(rate), "u, m")) for rate in rates}
        assert len(prints) == len(rates)


SAME = {
    "commuted operands": ("a = g * w; u = a + g", "a = w * g; u = g + a"),
    "renamed variables": ("a = sign(g); u = a * w", "b1 = sign(g); u = b1 * w"),
    "dead code": ("u = sign(g)", "a = exp(w); u = sign(g); b = newton_schulz5(u)"),
    "twice the update": ("u = sign(g)", "a = sign(g); u = a * 2"),
    "a tiny update": ("u = sign(g)", "a = sign(g); u = a / 1e30"),
    "reordered": ("a = sign(g); b = square(w); u = a * b", "b = square(w); a = sign(g); u = a * b"),
    "a square in other words": ("u = square(g)", "u = g * g"),
    "nested signs": ("u = sign(g)", "a = sign(g); b = sign(a); u = cbrt(b)"),
    "scale under a sign": ("u = sign(g)", "a = g * 0.001; u = sign(a)"),
    "transposed twice": (
        "u = newton_schulz5(g)",
        "a = transpose(g); b = newton_schulz5(a); u = transpose(b)",
    ),
    "addition reassociated": ("a = g + w; u = a + 1", "a = w + 1; u = g + a"),
    "a sign and its magnitude": ("u = g * 1.0", "a = abs(g); b = sign(g); u = a * b"),
    "a select of one value": ("u = g * w", "a = select(w, g, g); u = a * w"),
    "a number folded": ("u = g * 6", "a = g * 2; u = a * 3"),
}
SAME_STATES = {
    "lerp in other words": (
        "m = lerp(m, g, 0.1); u = sign(m)",
        "a = m * 0.9; b = g * 0.1; m = a + b; u = sign(m)",
    ),
    "a sum for an average": (
        "m = lerp(m, g, 0.1); u = tanh(w); u = u * m",
        "m = heavy_ball(m, g, 0.9); u = tanh(w); u = u * m",
    ),
    "a scaled state": (
        "m = lerp(m, g, 0.1); u = sign(m)",
        "a = g * 5; m = lerp(m, a, 0.1); u = sign(m)",
    ),
    "a negated state": (
        "m = lerp(m, g, 0.1); u = m * w",
        "a = neg(g); m = lerp(m, a, 0.1); b = neg(m); u = b * w",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        "m = lerp(m, g, 0.1); a = step(); a = a / {}; b = minimum(a, 1.0); u = m * b",
        "m = every(g, m, {}); u = m * 1.0",
        "m = lerp(m, g, 0.1); a = step(); a = a * {}; a = 1.0 / a; a = a + 0.01; u = m * a",
    ],
    ids=["a warm-up", "a period", "a decay"],
)
def test_what_differs_late_has_another_fingerprint(body: str) -> None:
    lengths = [5.0, 7.0, 10.0, 20.0, 40.0, 50.0, 100.0, 1000.0]
    prints = {rule_fingerprint(rule_of(body.format(k), "u, m")) for k in lengths}
    assert len(prints - {None}) == len(lengths)


def test_what_float32_makes_nothing_of_is_another_function() -> None:
    steep = "a = cube(g); a = cube(a); a = cube(a); a = cbrt(a); a = cbrt(a); u = cbrt(a)"
    huge = "a = g * 1e38; a = a * 1e38; a = a / 1e38; u = a / 1e38"
    prints = [rule_fingerprint(rule_of(body)) for body in ("u = g * 1.0", steep, huge)]
    assert None not in prints
    assert prints[0] not in prints[1:]


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME.keys())
def test_equal_functions_share_a_fingerprint(pair: tuple[str, str]) -> None:
    first, second = (rule_fingerprint(rule_of(body)) for body in pair)
    assert first is not None
    assert first == second


@pytest.mark.parametrize("pair", SAME_STATES.values(), ids=SAME_STATES.keys())
def test_equal_functions_with_state_share_a_fingerprint(pair: tuple[str, str]) -> None:
    first, second = (rule_fingerprint(rule_of(body, "u, m")) for body in pair)
    assert first is not None
    assert first == second


def test_epsilons_too_small_to_matter_do_not_count() -> None:
    text = str(known("adam"))
    assert fingerprint(parse_rules(text.replace("1e-08", "1e-12"))) == fingerprint(
        parse_rules(text.replace("1e-08", "1e-14"))
    )


def test_known_optimizers_differ_from_each_other() -> None:
    prints = {name: fingerprint(known(name)) for name in KNOWN}
    assert None not in prints.values()
    for a, b in combinations(KNOWN, 2):
        assert prints[a] != prints[b], (a, b)


DIFFERENT = {
    "sign of the update": ("u = sign(g)", "a = neg(g); u = sign(a)"),
    "square and cube": ("u = square(g)", "u = cube(g)"),
    "rows and columns": ("u = row_normalize(g)", "u = col_normalize(g)"),
    "three steps and five": ("u = newton_schulz3(g)", "u = newton_schulz5(g)"),
    "tall matrices": ("u = newton_schulz5(g)", "a = newton_schulz5(g); u = spectral_scale(a)"),
    "a threshold": ("u = clip(g, 0.1)", "u = clip(g, 0.11)"),
    "the step number": ("u = sign(g)", "a = step(); u = g * a"),
    "the weights": ("u = sign(g)", "a = w * 0.01; u = g + a"),
    "a ratio": ("a = w * 0.01; u = g + a", "a = w * 0.02; u = g + a"),
}


@pytest.mark.parametrize("pair", DIFFERENT.values(), ids=DIFFERENT.keys())
def test_different_functions_differ(pair: tuple[str, str]) -> None:
    first, second = (rule_fingerprint(rule_of(body)) for body in pair)
    assert None not in (first, second)
    assert first != second


def test_every_constant_of_adamw_shows() -> None:
    texts = [
        adamw((0.9, 0.999), 0.0),
        adamw((0.9, 0.99), 0.0),
        adamw((0.8, 0.999), 0.0),
        adamw((0.9, 0.999), 0.01),
        adamw((0.9, 0.999), 0.1),
        adamw((0.9, 0.999), 0.0).replace("1e-08", "0.01"),
    ]
    assert len({fingerprint(parse_rules(text)) for text in texts}) == len(texts)


@pytest.mark.parametrize(
    "body",
    [
        "u = g - g",
        "u = g * 0",
        "a = square(g); b = neg(a); u = log(b)",
        "a = g / 0.0; u = exp(a); u = u - 1",
        "a = g * 1e200; u = a * 1e200",
        "a = g * 1e-60; u = a * 1e-60",
        "u = sign(w)",
        "g = sign(w); u = g + w",
        "a = square(w); u = a * w; b = g + u",
    ],
)
def test_what_is_no_optimizer_has_no_fingerprint(body: str) -> None:
    rule = rule_of(body)
    assert rule_fingerprint(rule) is None
    assert fingerprint(RuleSet(rule)) is None
    assert fingerprint(RuleSet(known("muon").matrix, rule)) is None
    assert fingerprint(RuleSet(rule, known("lion").matrix)) is None


def test_a_rule_that_never_reads_its_gradient_has_none() -> None:
    assert rule_fingerprint(Rule("f", (), (), "w")) is None
    assert rule_fingerprint(Rule("f", (State("m"),), (), "m")) is None
    assert rule_fingerprint(Rule("f", (), (), "g")) is not None
    accumulated = Rule("f", (State("m"),), (Statement("m", "add", ("m", "g")),), "m")
    assert rule_fingerprint(accumulated) is not None


def test_a_missing_rest_counts_as_what_stands_in_for_it() -> None:
    lion, muon = known("lion").matrix, known("muon").matrix
    assert fingerprint(RuleSet(lion)) == fingerprint(RuleSet(lion, lion))
    assert fingerprint(RuleSet(muon)) == fingerprint(RuleSet(muon, default_rest()))
    assert fingerprint(RuleSet(muon)) != fingerprint(RuleSet(muon, lion))
    assert fingerprint(RuleSet(lion)) != fingerprint(RuleSet(lion, default_rest()))
    dead = Statement("dead", "newton_schulz5", ("g",))
    unused = Rule("f", lion.states, (*lion.body, dead), lion.update)
    assert fingerprint(RuleSet(unused)) == fingerprint(RuleSet(lion))
    assert compile_rules(RuleSet(unused)).rest.rule.body == lion.body


@given(programs())
@settings(max_examples=100)
def test_names_and_dead_code_never_count(program: RuleSet) -> None:
    found = fingerprint(program)
    assert found is None or len(found) == 32
    assert fingerprint(strip_rules(program)) == found
    names = {s.name for s in program.matrix.states} | {s.target for s in program.matrix.body}
    new = {name: f"z{k}" for k, name in enumerate(sorted(names - {"w", "g"}))}
    rule = program.matrix
    renamed = Rule(
        "other",
        tuple(State(new[s.name], s.shape) for s in rule.states),
        tuple(
            Statement(
                new.get(s.target, s.target),
                s.op,
                tuple(new.get(a, a) if isinstance(a, str) else a for a in s.args),
            )
            for s in rule.body
        ),
        new.get(rule.update, rule.update),
    )
    assert fingerprint(RuleSet(renamed, program.rest)) == found


@given(rules())
@settings(max_examples=60)
def test_a_positive_factor_never_counts(rule: Rule) -> None:
    found = rule_fingerprint(rule)
    rule = strip(rule)
    doubled = (*rule.body, Statement("twice", "mul", (rule.update, 2.0)))
    assert rule_fingerprint(Rule("f", rule.states, doubled, "twice")) == found


@given(rules(), rules())
@settings(max_examples=60)
def test_what_was_computed_before_never_shows(rule: Rule, other: Rule) -> None:
    def forget() -> None:
        for table in (SHORT.flat, SHORT.matrices):
            weights, gradients, _ = table.inputs
            vars(table).update(vars(ProbeTable(gradients.arrays, weights.arrays, table.times)))
        rule_fingerprint.cache_clear()

    forget()
    alone = rule_fingerprint(rule)
    forget()
    rule_fingerprint(other)
    assert rule_fingerprint(rule) == alone


def test_the_same_in_every_process() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from random_programs import bred, raw\n"
        "from evosearch.equivalence.fingerprint import fingerprint\n"
        "print([fingerprint(make(seed)) for seed in range(15) for make in (bred, raw)])\n"
    )
    outputs = set()
    for seed in ("0", "1"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        support = str(Path(__file__).parents[2] / "support")
        command = [sys.executable, "-c", code, support]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        outputs.add(run.stdout)
    assert len(outputs) == 1
    assert str([fingerprint(raw(seed)) for seed in (14,)])[1:-1] in outputs.pop()
