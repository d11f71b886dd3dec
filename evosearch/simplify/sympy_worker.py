"""The other end of `evosearch.simplify.algebra`: lines of JSON in, lines of JSON out.

Started as ``python -m evosearch.simplify.sympy_worker``. Expressions are built through the op
table's sympy column and taken apart by the whitelist below; anything else that sympy may come up
with is dropped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import sympy

from evosearch.simplify.algebra import Tree
from primitives.symbolic import STEP, apply
from primitives.table import OPS

__all__ = ["answer", "from_sympy", "to_sympy"]


def _functions(arguments: str) -> dict[Any, str]:
    """Return the ops whose sympy form is a function of these arguments, by that function."""
    forms = {op.sympy: name for name, op in OPS.items()}
    classes = {f"{c.__name__}({arguments})": c for c in vars(sympy).values() if isinstance(c, type)}
    return {classes[form]: name for form, name in forms.items() if form in classes}


_UNARY: Final = _functions("x")
_FOLDED: Final = _functions("x, y")
"""Of any number of arguments."""
_POWERS: Final[dict[Any, str]] = {
    sympy.Integer(2): "square",
    sympy.Integer(3): "cube",
    sympy.Rational(1, 2): "sqrt",
    sympy.Rational(-1, 2): "rsqrt",
}
_FORMS: Final[tuple[Callable[[Any], Any], ...]] = (
    lambda x: x,
    sympy.cancel,
    sympy.factor_terms,
    sympy.factor,
    sympy.powsimp,
    sympy.simplify,
)
"""What is tried, cheapest first."""


def answer(tree: Tree, leaves: Mapping[str, str]) -> list[Tree]:
    """Return the forms of an expression that the ops can say, shortest first."""
    symbols = {name: sympy.Symbol(name, real=True, **_sign(sign)) for name, sign in leaves.items()}
    expression = to_sympy(tree, symbols)
    found: list[Tree] = []
    for form in _FORMS:
        try:
            new = from_sympy(form(expression))
        except Exception:  # sympy fails in many ways, and one form's failure is not the others'
            continue
        if new is not None and new not in found:
            found.append(new)
    return sorted(found, key=_size)


def _sign(sign: str) -> dict[str, bool]:
    return {} if sign == "real" else {sign: True}


def _size(tree: Tree) -> int:
    return 1 + sum(map(_size, tree[1:])) if isinstance(tree, list) else 0


def to_sympy(tree: Tree, symbols: Mapping[str, Any]) -> Any:
    """Return the formula of a tree; numbers become the fractions that their decimals are."""
    if isinstance(tree, str):
        return symbols[tree]
    if not isinstance(tree, list):
        return sympy.Rational(repr(tree))
    op = OPS[str(tree[0])]
    args = [to_sympy(part, symbols) for part in tree[1:]]
    return apply(op, args[: op.arity], args[op.arity :])


def from_sympy(expression: Any) -> Tree | None:
    """Return the tree of a formula; None where it contains what no op says."""
    if expression == STEP:
        return ["step"]
    if expression.is_Symbol:
        return expression.name
    if expression.is_number:
        return float(expression) if expression.is_real and expression.is_finite else None
    if expression.is_Add:
        return _sum(expression)
    if expression.is_Mul:
        return _product(expression)
    if expression.is_Pow:
        return _power(*expression.as_base_exp())
    if expression.func in _UNARY and len(expression.args) == 1:
        inner = from_sympy(expression.args[0])
        return None if inner is None else [_UNARY[expression.func], inner]
    if expression.func in _FOLDED:
        return _chain(_FOLDED[expression.func], map(from_sympy, expression.args))
    return None


def _chain(op: str, parts: Iterator[Tree | None]) -> Tree | None:
    total: Tree | None = None
    for i, part in enumerate(parts):
        if part is None:
            return None
        total = part if i == 0 or total is None else [op, total, part]
    return total


def _sum(expression: Any) -> Tree | None:
    return _chain("add", (from_sympy(part) for part in sympy.Add.make_args(expression)))


def _product(expression: Any) -> Tree | None:
    top, bottom = expression.as_numer_denom()
    if bottom == 1:
        return _chain("mul", (from_sympy(part) for part in sympy.Mul.make_args(expression)))
    above, below = from_sympy(top), from_sympy(bottom)
    return None if above is None or below is None else ["div", above, below]


def _power(base: Any, exponent: Any) -> Tree | None:
    inner = from_sympy(base)
    if base is sympy.E:
        above = from_sympy(exponent)
        return None if above is None else ["exp", above]
    if inner is None or isinstance(inner, float) or not exponent.is_Rational:
        return None
    if exponent in _POWERS:
        return [_POWERS[exponent], inner]
    if exponent.is_negative:
        below = _power(base, -exponent) if exponent != -1 else inner
        return None if below is None else ["div", 1.0, below]
    if exponent.is_Integer and exponent <= 8:
        return _chain("mul", iter([inner] * int(exponent)))
    return ["power", inner, float(exponent)] if base.is_nonnegative else None


def _main() -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        tree, leaves = json.loads(line)
        print(json.dumps(answer(tree, leaves)), flush=True)


if __name__ == "__main__":
    _main()
