"""The reference semantics against numpy, and the generated source against the reference."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from interpreter import initial_states, run
from random_programs import rules, seeds
from torch import Tensor

from evosearch.language.known import KNOWN, default_rest, known
from evosearch.language.liveness import strip
from evosearch.language.parse import parse_rules
from evosearch.language.rule import Rule, RuleSet, Statement
from evosearch.training.codegen import (
    compile_rule,
    compile_rules,
    line,
    positive_denominators,
    source,
)
from primitives import kernels
from primitives.shape import COLUMNWISE, FULL, LEFT, RIGHT, ROWWISE, SCALAR
from primitives.table import OPS
from proxy_tasks.kernels.dispatch import by_torch

SHAPES = [(5, 3), (3, 5), (4, 4), (2, 3, 5), (2, 1, 4, 4), (1, 1), (1, 6)]


def rule_of(text: str) -> Rule:
    return parse_rules(text).matrix


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors agree bit by bit, any NaN being like any other."""
    equal = (a == b) | (a.isnan() & b.isnan())
    return a.shape == b.shape and a.dtype == b.dtype and bool(equal.all())


def inputs(shape: tuple[int, ...], dtype: torch.dtype, seed: int, steps: int = 4) -> Iterator:
    """Yield (t, w, g), entries of many sizes and some zeros among them."""
    generator = torch.Generator().manual_seed(seed)
    for t in range(1, steps + 1):
        size = 10.0 ** torch.empty(shape, dtype=dtype).uniform_(-3, 1, generator=generator)
        w, g = (torch.randn(shape, generator=generator, dtype=dtype) * size for _ in range(2))
        zeros = torch.rand(shape, generator=generator) < 0.1
        yield t, w, g.masked_fill(zeros, 0.0)


@given(rules(), seeds)
@settings(max_examples=120)
def test_generated_source_is_the_interpreter_bit_by_bit(rule: Rule, seed: int) -> None:
    compiled, short = compile_rule(rule), strip(rule)
    shape = SHAPES[seed % len(SHAPES)]
    for dtype in (torch.float64, torch.float32):
        w = torch.zeros(shape, dtype=dtype)
        whole, states = initial_states(rule, w), initial_states(short, w)
        for t, w, g in inputs(shape, dtype, seed):
            expected, whole = run(rule, w, g, t, whole)
            kept = [whole[rule.states.index(state)] for state in short.states]
            with by_torch():  # as the interpreter multiplies
                update, *states = compiled.update(w, g, t, *states)
            assert same(update, expected)
            assert all(map(same, states, kept))


@given(rules(), seeds)
@settings(max_examples=60)
def test_the_interpreter_agrees_with_numpy(rule: Rule, seed: int) -> None:
    """Step by step, from the same inputs: the op table's numpy column is written separately."""
    for t, w, g in itertools.islice(inputs((3, 4), torch.float64, seed), 2):
        values = {"w": w.numpy(), "g": g.numpy()}
        states = tuple(torch.rand(s.shape.sizes(3, 4), dtype=torch.float64) for s in rule.states)
        values |= {s.name: x.numpy() for s, x in zip(rule.states, states, strict=True)}
        for i, statement in enumerate(rule.body):
            op = OPS[statement.op]
            if op.name in ("eig_basis", "basis_step"):  # unique up to rounding of ties only
                return
            alone = Rule("f", rule.states, rule.body[: i + 1], statement.target)
            torchs, _ = run(alone, w, g, t, states)
            arguments = [values[a] if isinstance(a, str) else a for a in statement.args]
            with np.errstate(all="ignore"):
                found = op.numpy(*arguments, *([float(t)] if op.uses_step else []))
            magnitude = np.abs(torchs.numpy()).max()
            if not magnitude < 1e3:
                return  # what follows amplifies rounding, or differs in what it makes of NaN
            np.testing.assert_allclose(torchs, found, rtol=1e-6, atol=1e-7 * (1 + magnitude))
            values[statement.target] = torchs.numpy()


@given(rules(), seeds)
@settings(max_examples=60)
def test_lanes_do_not_mix(rule: Rule, seed: int) -> None:
    update = compile_rule(rule).update
    short = strip(rule)
    together = initial_states(short, torch.zeros(3, 5, 4))
    alone = [initial_states(short, torch.zeros(1, 5, 4)) for _ in range(3)]
    for t, w, g in inputs((3, 5, 4), torch.float32, seed):
        expected, *together = update(w, g, t, *together)
        for k in range(3):
            u, *alone[k] = update(w[k : k + 1], g[k : k + 1], t, *alone[k])
            assert same(u[0], expected[k])


@given(rules().filter(lambda rule: strip(rule).elementwise), seeds)
@settings(max_examples=60)
def test_a_flat_buffer_serves_all_parameters_of_an_elementwise_rule(rule: Rule, seed: int) -> None:
    compiled = compile_rule(rule)
    shapes = [(3, 4), (7, 1), (2, 5)]
    ends = list(itertools.accumulate(m * n for m, n in shapes))
    flat = initial_states(compiled.rule, torch.zeros(2, 1, ends[-1]))
    apart = [initial_states(compiled.rule, torch.zeros(2, m, n)) for m, n in shapes]
    for t, w, g in inputs((2, 1, ends[-1]), torch.float32, seed):
        expected, *flat = compiled.update(w, g, t, *flat)
        for k, ((m, n), end) in enumerate(zip(shapes, ends, strict=True)):
            cut = slice(end - m * n, end)
            own = (x[..., cut].reshape(2, m, n) for x in (w, g))
            u, *apart[k] = compiled.update(*own, t, *apart[k])
            assert same(u, expected[..., cut].reshape(2, m, n))


@given(rules(), seeds)
@settings(max_examples=60)
def test_updates_only_read_parameters_and_gradients(rule: Rule, seed: int) -> None:
    """Values are overwritten where they die, states too, but neither the parameter nor g."""
    compiled = compile_rule(rule)
    for t, w, g in itertools.islice(inputs((4, 3), torch.float64, seed), 1):
        states = [s + 0.5 for s in initial_states(compiled.rule, w)]
        before = [x.clone() for x in (w, g)]
        compiled.update(w, g, t, *states)
        assert all(map(same, (w, g), before))


@given(rules(), seeds)
@settings(max_examples=60)
def test_results_share_no_memory(rule: Rule, seed: int) -> None:
    """Two states in one place would overwrite each other in the next step."""
    compiled = compile_rule(rule)
    for t, w, g in itertools.islice(inputs((4, 3), torch.float64, seed), 1):
        _, *states = compiled.update(w, g, t, *initial_states(compiled.rule, w))
        places = [x.untyped_storage().data_ptr() for x in (w, g, *states)]
        assert len(set(places)) == len(places)


@pytest.mark.parametrize("name", KNOWN)
def test_known_optimizers_in_half_precision_keep_their_dtype(name: str) -> None:
    rules = compile_rules(known(name))
    for rule in (rules.matrix, rules.rest):
        states = initial_states(rule.rule, torch.zeros(4, 3, dtype=torch.bfloat16))
        for t, w, g in inputs((4, 3), torch.bfloat16, 0):
            update, *states = rule.update(w, g, t, *states)
            assert {x.dtype for x in (update, *states)} == {torch.bfloat16}
            assert update.isfinite().all()


def test_states_start_at_zero_in_their_own_shapes() -> None:
    rule = rule_of("def f(w, g, a, b: rowwise, c: columnwise, d: left, e: right, s: scalar):\n"
                   "    return g, a, b, c, d, e, s\n")  # fmt: skip
    states = initial_states(rule, torch.ones(7, 2, 3, dtype=torch.float32))
    shapes = [state.shape for state in rule.states]
    assert shapes == [FULL, ROWWISE, COLUMNWISE, LEFT, RIGHT, SCALAR]
    sizes = [(2, 3), (2, 1), (1, 3), (2, 2), (3, 3), (1, 1)]
    assert [tuple(s.shape) for s in states] == [(7, *size) for size in sizes]
    assert all(s.dtype == torch.float32 and not s.any() for s in states)


def test_source_is_the_program_with_templates_put_in() -> None:
    lerp = OPS["lerp"]
    assert source(known("lion").matrix, "lion") == (
        "def lion(w, g, t, m):\n"
        f"    c = {lerp.torch.format('m', 'g', '0.1')}\n"
        "    u = c.sign_()\n"
        f"    m = {lerp.inplace.format('m', 'g', '0.01')}\n"
        "    return u, m,\n"
    )
    assert line(Statement("u", "sub", ("g", -0.5))) == "u = g - (-0.5)"
    assert line(Statement("u", "div", ("g", "v"))) == "u = safe_div(g, v)"


@pytest.mark.parametrize(
    ("body", "last"),
    [
        ("a = g + w\n    u = a - g", "u = a.sub_(g)"),
        ("a = g + w\n    u = g - a", "u = g - a"),  # a difference does not commute
        ("a = g + w\n    u = g * a", "u = a.mul_(g)"),
        ("a = g + w\n    u = a * a", "u = a * a"),
        ("a = g + w\n    b = a * g\n    u = b + a", "u = b.add_(a)"),
        ("u = g + w", "u = g + w"),  # not the rule's own memory
        ("u = m + g", "u = m + g"),  # the state is returned
        ("u = neg(m)\n    m = m + g", "m = m.add_(g)"),
        ("a = norm(g)\n    u = a * g", "u = a * g"),  # a has another shape
        ("a = square(g)\n    a = a + 0.1\n    u = a / a", "u = a / a"),
        ("a = square(w)\n    b = a + 0.1\n    c = neg(g)\n    u = c / b", "u = c.div_(b)"),
    ],
)
def test_values_are_overwritten_where_they_die(body: str, last: str) -> None:
    text = source(rule_of(f"def f(w, g, m):\n    {body}\n    return u, m\n"), "f")
    assert text.splitlines()[-2].strip() == last


@given(rules())
@settings(max_examples=60)
def test_source_needs_torch_and_the_kernels_alone(rule: Rule) -> None:
    tree = ast.parse(source(rule, "update"))
    read = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and type(n.ctx) is ast.Load}
    made = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and type(n.ctx) is ast.Store}
    arguments = {a.arg for a in ast.walk(tree) if isinstance(a, ast.arg)}
    assert read <= made | arguments | {"torch", "max", "isinstance", *kernels.__all__}


def test_a_rule_for_matrices_leaves_the_rest_to_adamw() -> None:
    muon = compile_rules(known("muon"))
    assert muon.rest.rule == strip(default_rest())
    assert not muon.matrix.rank_free
    lion = compile_rules(known("lion"))
    assert lion.matrix is lion.rest
    assert lion.matrix.elementwise
    pair = compile_rules(RuleSet(known("muon").matrix, known("lion").matrix))
    assert pair.rest.rule.body == known("lion").matrix.body


@pytest.mark.parametrize(
    ("body", "plain"),
    [
        ("s = sqrt(g)\n    d = s + 1e-08\n    u = w / d", True),
        ("s = square(g)\n    d = 1e-08 + s\n    u = w / d", True),
        ("s = abs(g)\n    d = s + 0.1\n    e = d + 0.1\n    u = w / e", True),
        ("u = g / 2.0", True),
        ("u = g / 0.0", False),
        ("u = g / -2.0", False),
        ("s = square(g)\n    u = w / s", False),
        ("s = square(g)\n    d = s + -0.1\n    u = w / d", False),
        ("s = square(g)\n    d = s - 0.1\n    u = w / d", False),
        ("d = g + 0.1\n    u = w / d", False),
        ("d = square(g)\n    d = neg(g)\n    d = d + 0.1\n    u = w / d", False),
        ("d = square(g)\n    d = d + 0.1\n    d = neg(d)\n    u = w / d", False),
        ("s = square(g)\n    d = s + 1e-60\n    u = w / d", False),  # 0 in float32
    ],
)
def test_plain_division_only_where_nothing_can_be_zero(body: str, plain: bool) -> None:
    rule = rule_of(f"def f(w, g):\n    {body}\n    return u\n")
    assert positive_denominators(rule)[-1] is plain
    compiled = compile_rule(rule)
    zeros = torch.zeros(2, 3)
    (update,) = compiled.update(zeros, zeros, 1)
    assert same(update, run(rule, zeros, zeros, 1.0, ())[0])
    assert ("safe_div" in source(rule, "f")) is not plain
