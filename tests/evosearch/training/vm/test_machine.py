"""The register machine against torch, to the last bit."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from random_programs import raw_rule, seeds
from torch import Tensor
from torch.overrides import TorchFunctionMode

from evosearch.language.known import KNOWN, known
from evosearch.language.parse import parse_rules
from evosearch.language.rule import Rule, State, Statement
from evosearch.training.codegen import CompiledRule, compile_rule
from evosearch.training.vm.assemble import assemble
from evosearch.training.vm.machine import PART, Machine
from primitives.table import OPS
from proxy_tasks.kernels.dispatch import by_torch, processor_tile
from proxy_tasks.kernels.vm_instructions import INSTRUCTIONS

EXACT = {"add", "sub", "mul", "div", "neg", "abs", "sign", "minimum", "maximum", "clip", "clip_to"}
EXACT |= {
    "select",
    "square",
    "cube",
    "sqrt",
    "rsqrt",
    "lerp",
    "heavy_ball",
    "debias",
    "step",
    "blend",
}
"""The ops that the machine knows: those that IEEE arithmetic determines."""
SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.3, -2.5, 1e-40, 3e38, float("inf"), -float("inf"), float("nan"))

pytestmark = pytest.mark.skipif(
    processor_tile() is None, reason="no kernel of ours is for this processor"
)


class ExactRoots(TorchFunctionMode):
    """Square roots rounded correctly, which MKL's in torch are not always."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in (torch.sqrt, torch.Tensor.sqrt_):
            return func(*args, **(kwargs or {}))
        (x,) = args
        root = x.double().sqrt().to(x.dtype)
        return x.copy_(root) if func is torch.Tensor.sqrt_ else root


def rule_of(text: str) -> Rule:
    return parse_rules(text).matrix


def assert_same(found: Tensor, expected: Tensor) -> None:
    """Fail unless two tensors agree in every number; the sign of a 0 is left open, as torch's is.

    By `torch.clamp` it depends on where in a tensor the 0 is.
    """
    wrong = ~((found == expected) | (found.isnan() & expected.isnan()))
    assert not wrong.any(), (found[wrong][:3], expected.expand(found.shape)[wrong][:3])


def by_both(rule: Rule, w: Tensor, g: Tensor, states: list[Tensor], steps: int = 3) -> None:
    """Take steps with the machine and with torch, and compare all that comes of each."""
    compiled = CompiledRule(rule)
    own = [state.clone() for state in states]
    machine = compiled.bound(w, g, own)
    assert machine is not None
    for t in range(1, steps + 1):
        update = machine(float(t))
        with ExactRoots(), by_torch():
            expected, *states = compiled.update(w, g, float(t), *states)
        assert_same(update, expected)
        for state, other in zip(own, states, strict=True):
            assert_same(state, other)


def test_it_knows_the_ops_that_are_exact() -> None:
    for name, op in OPS.items():
        constants = op.probes[0] if op.constants else ()
        rule = Rule("p", (), (Statement("u", name, (*"wgw"[: op.arity], *constants)),), "u")
        runs = assemble(rule) is not None
        wanted = f"add `{name}` to EXACT" if runs else f"take `{name}` out of EXACT"
        assert runs is (name in EXACT), f"what the machine runs has changed: {wanted}"


@pytest.mark.parametrize("name", sorted(EXACT - {"step"}))
def test_each_op_on_special_numbers(name: str) -> None:
    """Every combination of arguments, with vectors and numbers in each place that may have them."""
    op = OPS[name]
    grid = torch.tensor(list(itertools.product(SPECIAL, repeat=3))).T.contiguous()
    w, g, s = (row.view(11, -1) for row in grid)
    w, g, s = (torch.cat([x, x], 1) for x in (w, g, s))  # whole vectors and a rest
    for constants in op.probes if op.constants else [()]:
        for numbers in itertools.product([None, 0.7, -1.5, 0.0], repeat=op.arity):
            if all(n is not None for n in numbers) and op.arity:
                continue
            if not op.broadcasts and any(n is not None for n in numbers):
                continue
            if op.name in ("lerp", "heavy_ball", "debias", "cube") and numbers[0] is not None:
                continue
            args = [v if n is None else n for v, n in zip("gws", numbers, strict=False)]
            body = (
                Statement("u", name, (*args, *map(float, constants))),
                Statement("s", "lerp", ("s", "g", 0.5)),
            )
            by_both(Rule("p", (State("s"),), body, "u"), w, g, [s], steps=2)


@settings(max_examples=150, deadline=None)
@given(seeds)
def test_random_rules(seed: int) -> None:
    rule = raw_rule(seed, ops=[OPS[name] for name in sorted(EXACT)])
    random = torch.Generator().manual_seed(seed)
    shape = [(3, 37), (2, PART + 5), (1, 1), (2, 3, 16)][seed % 4]
    w, g, *states = (torch.randn(shape, generator=random) for _ in range(2 + len(rule.states)))
    g[torch.rand(shape, generator=random) < 0.1] = 0.0
    by_both(rule, w, g, states)


@pytest.mark.parametrize("name", [n for n in KNOWN if assemble(known(n).matrix) is not None])
@pytest.mark.parametrize("shape", [(4, 2 * PART + 17), (3, 5), (1, PART), (2, 3, 4, 5)], ids=str)
def test_known_optimizers(name: str, shape: tuple[int, ...]) -> None:
    rule = known(name).matrix
    random = torch.Generator().manual_seed(0)
    w, g = (torch.randn(shape, generator=random) for _ in range(2))
    by_both(rule, w, g, [torch.zeros(shape) for _ in rule.states], steps=5)


def test_rows_may_lie_apart() -> None:
    rule = known("adamw").matrix
    buffers = [torch.randn(4, 900), torch.randn(4, 1000)]
    w, g = (buffer[:, 100:730] for buffer in buffers)
    kept = [buffer.clone() for buffer in buffers]
    by_both(rule, w, g, [torch.zeros(4, 630) for _ in rule.states])
    assert all(torch.equal(a, b) for a, b in zip(buffers, kept, strict=True))


@pytest.mark.parametrize(
    "text",
    [
        "def p(w, g, a, b):\n    c = a + g\n    a = b + 1.0\n    b = c - 0.0\n    return c, a, b",
        "def p(w, g, a, b):\n    a = g + b\n    b = a * a\n    return a, a, b",
        "def p(w, g, a):\n    u = a + g\n    a = g + 0.5\n    u = u + a\n    return u, a",
        "def p(w, g, a):\n    a = g + a\n    g = a + w\n    w = g * 0.5\n    return w, a",
        "def p(w, g, a):\n    return g, a",
        "def p(w, g, a):\n    return a, a",
        "def p(w, g):\n    t1 = step()\n    u = g / t1\n    return u",
        "def p(w, g):\n    t1 = step()\n    t2 = sqrt(t1)\n    u = t2 * g\n    return u",
    ],
)
def test_what_ends_where(text: str) -> None:
    random = torch.Generator().manual_seed(0)
    rule = rule_of(text + "\n")
    w, g, *states = (torch.randn(3, 50, generator=random) for _ in range(2 + len(rule.states)))
    by_both(rule, w, g, states, steps=4)


def test_states_that_change_places() -> None:
    exchanged = Rule(
        "p",
        (State("a"), State("b"), State("c")),
        (
            Statement("x", "add", ("a", 0.0)),
            Statement("a", "add", ("b", 0.0)),
            Statement("b", "add", ("c", 0.0)),
            Statement("c", "add", ("x", 0.0)),
        ),
        "b",
    )
    states = [torch.full((2, 20), float(i)) for i in range(3)]
    by_both(exchanged, torch.zeros(2, 20), torch.zeros(2, 20), states, steps=7)


def test_registers_are_used_again() -> None:
    body = "\n    ".join(["u = g * 1.5", *["u = u + g", "v = u * u", "u = v - u"] * 40])
    assembly = assemble(rule_of(f"def p(w, g):\n    {body}\n    return u\n"))
    assert assembly is not None
    assert len(assembly.instructions) == 121
    assert assembly.registers <= 3
    names = list(INSTRUCTIONS)
    assert [names[i.number] for i in assembly.instructions[:3]] == ["multiply", "add", "multiply"]


def test_where_it_cannot_run() -> None:
    rule = compile_rule(known("lion").matrix)
    w, g, m = (torch.randn(3, 8) for _ in range(3))
    assert rule.bound(w, g, [m]) is not None
    with by_torch():
        assert rule.bound(w, g, [m]) is None
    assert rule.bound(w.double(), g.double(), [m.double()]) is None
    assert rule.bound(w.to("meta"), g.to("meta"), [m.to("meta")]) is None
    assert rule.bound(w[:, ::2], g[:, ::2], [m[:, ::2]]) is None
    assert rule.bound(w, g, [m[:2]]) is None
    assert compile_rule(known("muon").matrix).bound(w, g, [m]) is None
    assert (
        compile_rule(rule_of("def p(w, g):\n    u = exp(g)\n    return u\n")).bound(w, g, [])
        is None
    )


def test_numbers_beyond_float32_are_said() -> None:
    rule = rule_of("def p(w, g):\n    u = g * 1e300\n    return u\n")
    machine = CompiledRule(rule).bound(torch.zeros(1, 4), torch.ones(1, 4), [])
    assert isinstance(machine, Machine)
    with pytest.raises(ArithmeticError):
        machine(1.0)
