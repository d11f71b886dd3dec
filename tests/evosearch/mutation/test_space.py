from __future__ import annotations

import pytest

from evosearch.language.known import KNOWN, known
from evosearch.language.parse import parse_rules
from evosearch.language.rule import RuleSet
from evosearch.mutation.space import Space
from primitives.op import Law
from primitives.table import OPS


def test_the_whole_table_is_the_default() -> None:
    space = Space(max_statements=256, max_states=9)
    assert [op.name for op in space.rows] == [op.name for op in OPS.values() if op.drawn]
    for name in KNOWN:
        drawn = all(OPS[s.op].drawn for s in known(name).matrix.body)
        assert space.contains(known(name)) is drawn, name
    assert space.contains(known("lamb"))


@pytest.mark.parametrize(
    ("space", "holds"),
    [
        (Space(max_statements=10), True),
        (Space(max_statements=9), False),
        (Space(max_states=2), True),
        (Space(max_states=1), False),
        (Space(max_cost=18.0), True),  # operations an entry
        (Space(max_cost=17.0), False),
    ],
)
def test_limits(space: Space, holds: bool) -> None:
    adamw = known("adamw")  # ten statements, two states
    assert space.holds(adamw.matrix) is holds
    assert space.contains(adamw) is holds
    assert space.contains(RuleSet(known("sgd").matrix, adamw.matrix)) is holds


def test_dead_and_small_states_do_not_count() -> None:
    text = (
        "def f(w, g, m, v, r: rowwise):\n"
        "    m = m + g\n"
        "    r = row_mean(g)\n"
        "    u = g * r\n"
        "    return u, m, v, r\n"
    )
    assert Space(max_states=0).holds(parse_rules(text).matrix)


def test_what_is_dead_costs_nothing() -> None:
    dead = (
        "def f(w, g):\n    c = matmul(matmul(g, transpose(g)), g)\n    u = sign(g)\n    return u\n"
    )
    assert Space(max_cost=1.0).holds(parse_rules(dead).matrix)
    assert not Space(max_cost=1.0).holds(
        parse_rules(dead.replace("(g)\n    r", "(c)\n    r")).matrix
    )


def test_a_subset_of_ops() -> None:
    space = Space(ops=("lerp", "sign", "add", "row_norm"))
    assert space.contains(known("lion"))
    assert not space.contains(known("adamw"))
    assert [op.name for op in space.stateful] == ["lerp", "add"]
    assert all(Law.ELEMENTWISE in op.laws for op in space.stateful)


def test_replacements_have_the_same_shapes_and_stay_inside() -> None:
    space = Space(ops=("sign", "abs", "exp", "add", "sub", "norm"))
    assert {op.name for op in space.replacements["sign"]} == {"abs", "exp"}
    assert {op.name for op in space.replacements["tanh"]} == {"sign", "abs", "exp"}
    assert {op.name for op in space.replacements["div"]} == {"add", "sub"}
    assert space.replacements["matmul"] == ()
    for name, choices in Space().replacements.items():
        assert name not in {op.name for op in choices}
        assert {op.signature for op in choices} <= {OPS[name].signature}
