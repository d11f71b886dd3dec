"""sympy suggests, in a process of its own that may be killed; the probes decide."""

from collections.abc import Iterator

import pytest
import sympy

from evosearch.language.parse import parse_rules
from evosearch.simplify import Algebra, simplify
from evosearch.simplify.algebra import Tree
from evosearch.simplify.sympy_worker import answer, from_sympy


@pytest.fixture(scope="module")
def algebra() -> Iterator[Algebra]:
    with Algebra(deadline=20.0) as algebra:
        yield algebra


def simple(body: str, algebra: Algebra) -> str:
    lines = "".join(f"    {line.strip()}\n" for line in body.split(";"))
    found = simplify(parse_rules(f"def f(w, g):\n{lines}    return u\n"), algebra=algebra)
    matrix = found.program.matrix
    return "; ".join([*map(str, matrix.body), f"return {matrix.update}"])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("a = sin(g); a = square(a); b = cos(g); b = square(b); c = a + b; u = c * g", "return g"),
        ("a = square(g); b = square(w); c = a - b; d = g - w; u = c / d", "u = g + w; return u"),
        ("a = sigmoid(g); b = neg(g); b = sigmoid(b); c = a + b; c = c * w; u = c + g", "sum"),
        ("a = g * w; b = g * 3.0; c = a + b; d = w + 3.0; u = c / d", "return g"),
    ],
)
def test_what_the_laws_do_not_see(body: str, expected: str, algebra: Algebra) -> None:
    assert simple(body, algebra) == ("u = g + w; return u" if expected == "sum" else expected)


def test_a_suggestion_that_is_wrong_at_zero_is_rejected(algebra: Algebra) -> None:
    """(g w + g) / g is w + 1 for sympy; the op is 0 where g is."""
    body = "a = g * w; b = a + g; u = b / g"
    assert simple(body, algebra).endswith("u = x2 / g; return u")
    text = "def f(w, g):\n    a = g * w\n    b = a + g\n    u = b / g\n    return u\n"
    found = simplify(parse_rules(text), algebra=algebra)
    assert any(step.stage == "sympy" for step in found.rejected)


def test_a_question_that_takes_too_long_is_given_up() -> None:
    with Algebra(deadline=20.0) as algebra:
        assert algebra.suggest(["add", "x0", "x0"], {"x0": "real"})
        process = algebra._process
        algebra.deadline = 0.01
        tree: Tree = "x0"
        for _ in range(8):  # takes sympy seconds
            tree = ["add", ["sin", ["mul", tree, "x1"]], ["cos", ["square", tree]]]
        assert algebra.suggest(tree, {"x0": "real", "x1": "real"}) == []
        assert algebra.timeouts == 1
        assert process is not None
        assert process.poll() is not None  # it was killed
        algebra.deadline = 20.0
        assert algebra.suggest(["add", "x1", "x1"], {"x1": "real"})  # and started again


def test_without_a_deadline_nothing_is_started() -> None:
    algebra = Algebra(deadline=0.0)
    assert algebra.suggest(["add", "x0", "x0"], {"x0": "real"}) == []
    assert algebra._process is None


def test_signs_are_used() -> None:
    tree = ["sqrt", ["square", "x0"]]
    assert answer(tree, {"x0": "nonnegative"})[0] == "x0"
    assert answer(tree, {"x0": "real"})[0] == ["abs", "x0"]


def test_what_no_op_says_is_dropped() -> None:
    x = sympy.Symbol("x", real=True)
    assert from_sympy(sympy.gamma(x)) is None
    assert from_sympy(x + sympy.erf(x)) is None
    assert from_sympy(sympy.oo) is None
    assert from_sympy(sympy.sqrt(-1) * x) is None
