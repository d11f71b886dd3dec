"""The table as a whole: names, queries, the page made from it, and what can be said with it."""

import subprocess
import sys

import pytest

from primitives import reference
from primitives.op import Op, Signature
from primitives.shape import COLUMNWISE, FULL, LEFT, RIGHT, ROWWISE, SCALAR
from primitives.table import FAMILIES, INFIX, OPS


def test_vocabulary_is_large_and_immutable():
    assert len(OPS) >= 45
    assert list(OPS) == [op.name for family in FAMILIES.values() for op in family]
    with pytest.raises(TypeError):
        OPS["add"] = OPS["sub"]  # type: ignore[index]


def test_infix_operators():
    assert {symbol: op.name for symbol, op in INFIX.items()} == {
        "+": "add",
        "-": "sub",
        "*": "mul",
        "/": "div",
    }


@pytest.mark.parametrize("name", ["exp", "div", "newton_schulz5", "matmul"])
def test_shape_rules_refuse_what_does_not_fit(name):
    op = OPS[name]
    assert op.signature.infer([FULL] * (op.arity + 1)) is None
    assert OPS["matmul"].signature.infer([FULL, FULL]) is None
    assert OPS["matmul"].signature.infer([LEFT, FULL]) == FULL
    assert OPS["gram_right"].signature.infer([FULL]) == RIGHT
    assert OPS["add"].signature.infer([ROWWISE, COLUMNWISE]) == FULL
    assert OPS["add"].signature.infer([LEFT, FULL]) is None
    assert OPS["lerp"].signature.infer([FULL, SCALAR]) is None
    assert OPS["step"].signature.infer([]) == SCALAR


def test_work_follows_the_argument_shapes():
    assert OPS["matmul"].work([LEFT, FULL], 3, 5)[0] == 2 * 3 * 3 * 5
    assert OPS["matmul"].work([FULL, RIGHT], 3, 5)[0] == 2 * 3 * 5 * 5
    assert OPS["add"].work([SCALAR, FULL], 3, 5)[0] == 15
    assert OPS["add"].work([SCALAR, SCALAR], 3, 5)[0] == 1
    assert OPS["step"].work([], 3, 5)[0] == 1


def test_kernels_named_in_a_template_are_found():
    assert OPS["div"].kernels == ("safe_div",)
    assert OPS["normalize"].kernels == ("safe_div",)
    assert OPS["max_abs"].kernels == ("max_abs",)
    assert OPS["sign"].kernels == ()
    assert all(op.function.__name__ == op.name for op in OPS.values())


def test_rows_are_compared_by_identity():
    assert OPS["add"] == OPS["add"]
    assert OPS["add"] != OPS["sub"]
    assert isinstance(OPS["add"], Op)
    assert OPS["add"].signature == Signature("*,*->*")


def test_reference_page_is_fresh():
    assert reference.PAGE.read_text(encoding="utf-8") == reference.render(), (
        "primitives/reference.md is out of date: run `python -m primitives.reference`"
    )


def test_page_describes_every_op():
    page = reference.render()
    for op in OPS.values():
        assert f"### `{op.name}`" in page
        assert reference.describe(op)["family"] in FAMILIES
    assert reference.usage(OPS["lerp"]) == "lerp(x, y, RATE)"
    assert reference.usage(OPS["div"]) == "div(x, y), x / y"


def test_importing_the_table_loads_neither_torch_nor_sympy():
    code = "import sys, primitives.table; print({'torch', 'sympy'} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"
