"""Each op over lists of tensors, in every form it is written in, is the op of the table."""

from __future__ import annotations

import itertools

import pytest
import torch
from exported_optimizers import module_of
from interpreter import descended
from torch import Tensor

from evosearch.errors import ProgramError
from evosearch.export.foreach import CHAINS
from evosearch.language.parse import parse_rules
from evosearch.language.rule import Rule, RuleSet
from evosearch.training.codegen import compile_rule
from primitives.op import Op
from primitives.table import OPS

SHAPE = (4, 3)
REST = "\n\ndef rest(w, g):\n    return g\n"
FULL = ("x", "matmul(x, g)", "matmul(g, x)", "transpose(x)", "x * g")
"""How to make a parameter-shaped value of a result x, whatever its shape."""


def _programs(op: Op) -> list[RuleSet]:
    """Return programs around one op, in which its operands die, live on, or are states."""
    choices = {"*": ("g", "m", "0.3"), "ii": ("a", "b"), "jk": ("b",)}
    constants = [repr(c) for c in op.probes[0]] if op.probes else []
    if op.keeps:  # it stands last
        bodies = ([f"u = {op.name}(g)"], ["m = lerp(m, g, 0.2)", f"u = {op.name}(m)"])
        return [rules for body in bodies if (rules := _parsed(body)) is not None]
    programs = []
    for operands in itertools.product(*(choices.get(p, ("g", "m")) for p in op.signature.inputs)):
        call = f"{op.name}({', '.join([*operands, *constants])})"
        other = f"{op.name}({', '.join([*('c', *operands[1:])[: op.arity], *constants])})"
        for full in FULL:
            bodies = (
                ["m = lerp(m, g, 0.2)", f"x = {call}", f"u = {full}", "m = m + u"],
                [
                    "a = gram_right(g)",
                    "b = gram_right(m)",
                    f"x = {call}",
                    f"u = {full}",
                    "m = m + g",
                ],
                ["b = gram_right(g)", f"x = {call}", f"u = {full}", "m = lerp(m, u, 0.2)"],
                ["c = g + 1.5", f"x = {other}", f"u = {full}"],
                [f"m = {call}", "u = m + g"],
            )
            for body in bodies:
                exact = [*body, "k = sign(g)", "u = u + k"]
                programs += [r for b in (body, exact) if (r := _parsed(b)) is not None]
    return programs


def _parsed(body: list[str]) -> RuleSet | None:
    """Return the program, or None where shapes do not fit."""
    lines = "".join(f"    {line}\n" for line in body)
    try:
        return parse_rules(f"def rule(w, g, m):\n{lines}    return u, m\n{REST}")
    except ProgramError:
        return None


def _tensors(op: Op) -> tuple[Tensor, list[Tensor]]:
    """Return a parameter and three gradients in the op's domain."""
    generator = torch.Generator().manual_seed(0)
    low, high = max(op.domain[0], -2.0), min(op.domain[1], 2.0)
    uniform = torch.rand(4, *SHAPE, generator=generator)
    w, *gradients = low + (high - low) * (0.05 + 0.9 * uniform)
    return w, gradients


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("op", OPS.values(), ids=lambda op: op.name)
def test_every_form_of_an_op_is_the_op(op: Op, every: int) -> None:
    programs = list(dict.fromkeys(_programs(op)))
    programs = programs[:: every if len(programs) > 2 * every else 1]
    assert programs, f"no program for {op.name}"
    w, gradients = _tensors(op)
    for rules in programs:
        found, expected = _exported(rules, w, gradients), _evaluated(rules.matrix, w, gradients)
        jumps = any(s.op in ("select", "sign") for s in rules.matrix.body)
        if rules.matrix.elementwise and jumps:
            # A sign that is turned is seen; the last step, w - lr * u, may round otherwise.
            torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6, equal_nan=True)
        else:  # averages round differently, and products of stacks add up in another order
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4, equal_nan=True)


def _exported(rules: RuleSet, w: Tensor, gradients: list[Tensor]) -> Tensor:
    module = module_of(rules, lr=0.1)
    params = [torch.nn.Parameter(w.clone()) for _ in range(2)]
    optimizer = getattr(module, module.__all__[0])(params, foreach=True)
    for g in gradients:
        for p in params:
            p.grad = g.clone()
        optimizer.step()
    torch.testing.assert_close(params[0], params[1], equal_nan=True)
    return params[0].detach()


def _evaluated(rule: Rule, w: Tensor, gradients: list[Tensor]) -> Tensor:
    compiled = compile_rule(rule)
    states = [w.new_zeros(shape.sizes(*SHAPE)) for shape in compiled.states]
    for t, g in enumerate(gradients, start=1):
        u, *states = compiled.update(w, g, float(t), *states)
        w = descended(rule, w, u, 0.1)
    return w


def test_chains_name_elementwise_ops_of_the_table() -> None:
    assert all(OPS[name].elementwise for name in CHAINS)
