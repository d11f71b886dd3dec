"""What the weights keep while they move by an update."""

import numpy as np
import pytest
import torch
from interpreter import descended

from evosearch.errors import ProgramError
from evosearch.language.parse import parse_rules
from primitives.kernels import kept
from primitives.shape import FULL, ROWWISE, STEP
from primitives.table import OPS

KEEPING = [pytest.param(op, id=op.name) for op in OPS.values() if op.keeps]
AXES = {"norm": (-2, -1), "row_norm": -1, "col_norm": -2}


def tensors(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, 6, 4, 5, generator=generator, dtype=torch.float64).unbind()


def rule_of(op):
    return parse_rules(f"def p(w, g):\n    u = {op.name}(g)\n    return u\n").matrix


@pytest.mark.parametrize("op", KEEPING)
def test_the_norm_stays_and_the_direction_is_the_updates(op):
    w, u = tensors()
    moved = descended(rule_of(op), w, u, 0.3)
    alone = (w - 0.3 * u).numpy()
    before, after = (np.sqrt((x**2).sum(AXES[op.keeps], keepdims=True)) for x in (w.numpy(), alone))
    expected = alone * before / after
    np.testing.assert_allclose(moved.numpy(), expected, rtol=1e-12)
    own = OPS[op.keeps].function
    torch.testing.assert_close(
        kept(w - 0.3 * u, own(w), own(w - 0.3 * u)), moved, rtol=1e-14, atol=0
    )
    # What a learning rate absorbs, it absorbs here too.
    torch.testing.assert_close(descended(rule_of(op), w, 3 * u, 0.1), moved, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("op", KEEPING)
def test_weights_without_a_norm_move_freely_and_none_becomes_nan(op):
    w, u = tensors()
    w[0] = 0.0
    u[1] = w[1]  # a rate of 1 leads to 0
    moved = descended(rule_of(op), w, u, 1.0)
    assert torch.equal(moved[0], -u[0])
    assert not moved[1].any()


@pytest.mark.parametrize("op", KEEPING)
def test_a_step_is_a_type_that_can_only_be_returned(op):
    assert op.signature.infer([FULL]) == STEP
    assert op.signature.infer([ROWWISE]) is None
    assert all(
        other.signature.infer([STEP, *([FULL] * (other.arity - 1))]) is None
        for other in OPS.values()
        if other.arity
    )
    with pytest.raises(ProgramError, match="which a rule can only return"):
        parse_rules(f"def p(w, g):\n    u = {op.name}(g)\n    u = u * 2.0\n    return u\n")
    with pytest.raises(ProgramError, match="ends the step as step"):
        parse_rules(f"def p(w, g, m):\n    m = {op.name}(g)\n    return g, m\n")
