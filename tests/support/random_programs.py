"""Random legal programs for property tests: bred ones, and raw ones that owe nothing to `mutate`.

Both are functions of a seed. The raw generator draws ops, operands and targets freely, overwriting
variables, states, even `w` and `g`, and is legal by its own bookkeeping of shapes: it asks only the
op table, so it is an independent oracle of the checker.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import strategies as st

from evosearch.language.known import known
from evosearch.language.library import LIBRARY
from evosearch.language.rule import REST, Argument, Rule, RuleSet, State, Statement
from evosearch.mutation.mutate import mutate
from evosearch.mutation.rng import Rng
from evosearch.mutation.space import Space
from primitives.op import Op
from primitives.shape import FULL, SCALAR, SHAPES, Shape
from primitives.table import OPS

WIDE = Space(max_statements=40, max_states=4)
"""Every op, and room for all known optimizers to grow."""

_PARENTS = [name for name, row in LIBRARY.items() if row.form]
"""What is bred from: small enough to grow within `WIDE`."""

seeds = st.integers(0, 2**32 - 1)


def bred(seed: int, edits: int = 12) -> RuleSet:
    """Return what some edits make of a known optimizer."""
    rng = Rng(seed, "bred")
    rules = known(rng.pick(_PARENTS))
    for _ in range(rng.below(edits + 1)):
        rules, _ = mutate(rules, WIDE, rng)
    return rules


def raw_rule(
    seed: int,
    statements: int = 30,
    name: str = "raw",
    rank_free: bool = False,
    ops: Sequence[Op] | None = None,
) -> Rule:
    """Return a rule of up to so many statements, drawn from the op table alone.

    With `ops`, of these alone, and with states of the parameter's shape.
    """
    draw = random.Random(seed)
    allowed = [FULL, SCALAR] if rank_free else list(SHAPES.values())
    allowed = [FULL] if ops is not None else allowed
    states = tuple(
        State(f"s{k}", FULL if draw.random() < 0.6 else draw.choice(allowed))
        for k in range(draw.randrange(4))
    )
    kept = {"g": FULL} | {state.name: state.shape for state in states}
    shapes = {"w": FULL} | kept
    if ops is None:
        ops = [op for op in OPS.values() if op.rank_free or not rank_free]
    body: list[Statement] = []
    for k in range(draw.randrange(statements + 1)):
        op = draw.choice(ops)
        operands = _operands(draw, op, shapes)
        if operands is None:
            continue
        result = op.signature.infer([_shape(a, shapes) for a in operands])
        assert result is not None
        constants = draw.choice(op.probes) if op.constants else ()
        targets = [v for v in shapes if kept.get(v, result) == result]
        target = draw.choice(targets) if targets and draw.random() < 0.4 else f"v{k}"
        body.append(Statement(target, op.name, (*operands, *map(float, constants))))
        shapes[target] = result
    update = draw.choice([v for v, shape in shapes.items() if shape == FULL])
    return Rule(name, states, tuple(body), update)


def raw(seed: int, statements: int = 30) -> RuleSet:
    """Return one raw rule, or two."""
    matrix = raw_rule(seed, statements)
    both = seed % 3 == 0
    return RuleSet(matrix, raw_rule(seed + 1, statements, REST, rank_free=True) if both else None)


def programs() -> st.SearchStrategy[RuleSet]:
    """Draw bred and raw programs alike."""
    return st.one_of(seeds.map(bred), seeds.map(raw))


def rules() -> st.SearchStrategy[Rule]:
    """Draw single rules, bred and raw alike."""
    return programs().map(lambda both: both.matrix)


def _operands(draw: random.Random, op: Op, shapes: dict[str, Shape]) -> list[Argument] | None:
    """Return operands that fit, now and then with a number among them; None if luck fails."""
    for _ in range(20):
        operands: list[Argument] = [draw.choice(list(shapes)) for _ in range(op.arity)]
        if op.broadcasts and draw.random() < 0.2:
            operands[draw.randrange(op.arity)] = round(draw.gauss(0, 2), 3)
        if op.signature.infer([_shape(a, shapes) for a in operands]) is not None:
            return operands
    return None


def _shape(argument: Argument, shapes: dict[str, Shape]) -> Shape:
    return shapes[argument] if isinstance(argument, str) else SCALAR
