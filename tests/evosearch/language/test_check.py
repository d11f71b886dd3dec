from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from interpreter import initial_states, run
from random_programs import programs, raw_rule, rules, seeds

from evosearch.errors import ProgramError
from evosearch.language.check import check_rule, check_rules, infer, result_shape
from evosearch.language.known import KNOWN, known
from evosearch.language.rule import INPUTS, Rule, RuleSet, State, Statement
from primitives.shape import FULL, ROWWISE, SCALAR, Shape
from primitives.table import OPS


@given(programs())
@settings(max_examples=200)
def test_programs_by_other_bookkeeping_are_legal(program: RuleSet) -> None:
    assert check_rules(program) is program
    assert infer(program.matrix) is not None


@given(rules())
@settings(max_examples=60)
def test_inferred_shapes_are_the_shapes_of_tensors(rule: Rule) -> None:
    """Every prefix of a rule, ended after the statement in question, is run on a real matrix."""
    shapes = infer(rule)
    assert shapes is not None
    m, n = 3, 5
    w, g = torch.ones(m, n, dtype=torch.float64), torch.rand(m, n, dtype=torch.float64)
    for i, (statement, shape) in enumerate(zip(rule.body, shapes, strict=True)):
        prefix = replace(rule, body=rule.body[: i + 1], update=statement.target, states=rule.states)
        update, _ = run(prefix, w, g, 1.0, initial_states(rule, w))
        assert tuple(update.shape) == shape.sizes(m, n), statement


def faulty(rule: Rule, statement: Statement) -> Iterator[Rule]:
    """Put a statement in place of each of a rule's."""
    for i in range(len(rule.body)):
        yield replace(rule, body=(*rule.body[:i], statement, *rule.body[i + 1 :]))


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (Statement("u", "frobnicate", ("g",)), "unknown op `frobnicate`"),
        (Statement("u", "sign", ()), "takes 1 tensors, found 0 arguments"),
        (Statement("u", "lerp", ("g", "g")), "takes 2 tensors and 1 constants, found 2 arguments"),
        (Statement("u", "sign", ("nowhere",)), "`nowhere` is read before it is assigned"),
        (Statement("u", "lerp", ("g", "g", "g")), "argument 3 must be a number"),
        (Statement("u", "lerp", ("g", 1.0, 0.1)), "takes tensors, found a number"),
        (Statement("u", "add", (1.0, 1.0)), "at least one argument must be a variable"),
        (Statement("u", "matmul", ("g", "g")), "found shapes (m, n), (m, n)"),
    ],
)
def test_both_judges_refuse_a_faulty_statement(statement: Statement, message: str) -> None:
    for rule in faulty(known("adamw").matrix, statement):
        assert infer(rule) is None
        with pytest.raises(ProgramError) as caught:
            check_rule(rule)
        assert message in str(caught.value)
        assert "`adamw`" in str(caught.value)


@pytest.mark.parametrize(
    ("states", "body", "update", "message"),
    [
        ((), (), "u", "never assigned"),
        ((), (Statement("u", "norm", ("g",)),), "u", "of shape (1, 1) as its update"),
        ((State("v", ROWWISE),), (), "v", "of shape (m, 1) as its update"),
        (
            (State("v", ROWWISE),),
            (Statement("v", "col_mean", ("g",)),),
            "g",
            "declared (m, 1) but ends the step as (1, n)",
        ),
    ],
)
def test_both_judges_refuse_a_faulty_ending(states, body, update: str, message: str) -> None:
    rule = Rule("f", states, body, update)
    assert infer(rule) is None
    with pytest.raises(ProgramError) as caught:
        check_rule(rule)
    assert message in str(caught.value)


@given(seeds)
@settings(max_examples=300)
def test_the_judges_agree(seed: int) -> None:
    """A raw rule with one statement taken out may or may not be legal; both say the same."""
    rule = raw_rule(seed, 12)
    if not rule.body:
        return
    gone = seed % len(rule.body)
    rule = replace(rule, body=(*rule.body[:gone], *rule.body[gone + 1 :]))
    try:
        check_rule(rule)
    except ProgramError:
        assert infer(rule) is None
    else:
        assert infer(rule) is not None


def test_the_rest_must_need_no_matrix() -> None:
    lion = known("lion").matrix
    for rest in (known(name).matrix for name in KNOWN):
        if rest.rank_free:
            check_rules(RuleSet(lion, rest))
        else:
            with pytest.raises(ProgramError, match="which needs a matrix"):
                check_rules(RuleSet(lion, rest))
    with pytest.raises(ProgramError, match="uses `newton_schulz5`, which needs a matrix"):
        check_rules(RuleSet(lion, known("muon").matrix))
    rowwise = Rule("rest", (State("v", ROWWISE),), (), "g")
    with pytest.raises(
        ProgramError, match="uses a state of shape \\(m, 1\\), which needs a matrix"
    ):
        check_rules(RuleSet(lion, rowwise))


def test_a_place_is_named_where_it_is_known() -> None:
    rule = Rule("f", (), (Statement("u", "sign", ("x",)),), "u")
    for body, place in ((rule.body, (7, 3)), ((), (9, 1))):
        with pytest.raises(ProgramError) as caught:
            check_rule(replace(rule, body=body), [(7, 3), (9, 1)][-len(body) - 1 :])
        assert (caught.value.line, caught.value.column) == place


@pytest.mark.parametrize("op", OPS.values(), ids=lambda op: op.name)
def test_result_shapes_follow_the_signature(op) -> None:
    for shape in {Shape("m", "n"), Shape("n", "m"), Shape("m", "m"), Shape("1", "1")}:
        found = tuple([shape] * op.arity)
        assert result_shape(op.name, found) == op.signature.infer(found)
    assert INPUTS == {"w": FULL, "g": FULL}
    assert result_shape("mul", (SCALAR, FULL)) == FULL
