"""Rows of the table as sympy: an update rule becomes a formula.

A tensor is a commutative real symbol that stands for any of its entries, which is right for
elementwise ops. Every other op is an opaque function, an uninterpreted symbol that knows the exact
laws of its row and nothing else: ``sign``-like functions drop positive factors, odd ones pull out a
minus, normalisations of normalisations collapse.

Two things are lost on the way to a formula, so that a formula is for reading and for suggesting
rewrites, and a rewrite is to be checked numerically. Shapes: where sympy cancels a term, a
broadcast that the term caused is cancelled too. Totality: sympy's quotients and powers are
undefined at 0, where the ops are 0 (`Op.exceptions` says which).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import sympy
from sympy.printing.precedence import PRECEDENCE

from primitives.op import Law, Op
from primitives.table import OPS

__all__ = ["STEP", "apply", "opaque", "positive", "tensor"]

STEP: Final = sympy.Symbol("t", integer=True, positive=True)
"""The number of the step, from 1."""

_LATEX: Final = {
    "matmul": r"{0} \mathbin{{@}} {1}",
    "transpose": r"{0}^{{\top}}",
    "gram_left": r"{0} \mathbin{{@}} {0}^{{\top}}",
    "gram_right": r"{0}^{{\top}} \mathbin{{@}} {0}",
    "norm": r"\left\lVert {0} \right\rVert",
    "dot": r"\left\langle {0}, {1} \right\rangle",
    "newton_schulz3": r"\operatorname{{NS}}_{{3}}\left({0}\right)",
    "newton_schulz5": r"\operatorname{{NS}}_{{5}}\left({0}\right)",
    "polar_express": r"\operatorname{{PE}}_{{5}}\left({0}\right)",
    "inv_sqrt": r"\operatorname{{pow}}_{{-1/2}}\left({0}\right)",
    "inv_fourth_root": r"\operatorname{{pow}}_{{-1/4}}\left({0}\right)",
}
"""How opaque ops are typeset, the rest by name; ``@`` tells a matrix product from an entrywise."""


def tensor(name: str) -> sympy.Symbol:
    """Return the symbol of a tensor: any of its entries, a real number."""
    return sympy.Symbol(name, real=True)


def apply(
    op: Op,
    args: Sequence[Any],
    constants: Sequence[float | sympy.Expr] = (),
    t: int | sympy.Expr = STEP,
) -> sympy.Expr:
    """Return the formula of one application of an op.

    Args:
        op: a row of the table.
        args: the formulas of its tensor arguments; numbers are welcome.
        constants: its constants, as numbers or symbols.
        t: the step number.
    """
    values = [sympy.sympify(value) for value in (*args, *constants)]
    if not op.sympy:
        return opaque(op.name)(*values)
    names = [*"xyz"[: op.arity], *"ab"[: len(op.constants)]]
    scope = dict(zip(names, values, strict=True)) | {"t": sympy.sympify(t)}
    return eval(_code(op.name), _functions(), scope)


@cache
def _code(name: str) -> Any:
    return compile(OPS[name].sympy, f"<sympy form of {name}>", "eval")


@cache
def _functions() -> dict[str, Any]:
    """What sympy forms may call: sympy's functions and, over them, the opaque ones."""
    opaques = {op.name: opaque(op.name) for op in OPS.values() if not op.sympy}
    return vars(sympy) | opaques | {"__builtins__": {}}


@cache
def opaque(name: str) -> Any:
    """Return the sympy function class of an op without a sympy form; the same class every time."""
    op = OPS[name]
    body: dict[str, Any] = {
        "nargs": op.arity + len(op.constants),
        "is_real": True,
        "is_commutative": True,
        "eval": classmethod(lambda cls, *args: _rewrite(cls, op, args)),
        "_latex": lambda self, printer, exp=None: _latex(op, self.args, printer, exp),
    }
    if Law.NONNEGATIVE in op.exact_laws:
        body["is_nonnegative"] = True
    return type(name, (sympy.Function,), body)


def _rewrite(cls: Any, op: Op, args: tuple[Any, ...]) -> sympy.Expr | None:
    """Return what f(*args) is by the op's exact laws, or None where they say nothing."""
    laws = op.exact_laws
    first = args[0]
    if len(args) == 1 and isinstance(first, cls) and Law.IDEMPOTENT in laws:
        return first
    if len(args) == 1 and isinstance(first, cls) and Law.INVOLUTION in laws:
        return first.args[0]
    commutes = Law.COMMUTATIVE in laws
    outside, inside = sympy.S.One, list(args)
    for i in range(op.arity if commutes else 1):  # by symmetry a law of the first holds for all
        if args[i] == 0 and Law.ZERO_PRESERVING in laws:
            return sympy.S.Zero
        factor, inside[i] = _pull(op, args[i])
        outside *= factor
    if commutes:
        inside.sort(key=lambda expression: expression.sort_key())
    return None if tuple(inside) == args else outside * cls(*inside)


def _pull(op: Op, argument: Any) -> tuple[Any, Any]:
    """Return (c, x) with f(argument) = c f(x), by homogeneity and parity."""
    outside = sympy.S.One
    if op.homogeneity is not None:
        factor, argument = _split(argument)
        outside = factor ** sympy.Rational(op.homogeneity)
    if op.exact_laws & {Law.ODD, Law.EVEN} and argument.could_extract_minus_sign():
        return (-outside if Law.ODD in op.exact_laws else outside), -argument
    return outside, argument


def _split(expression: Any) -> tuple[Any, Any]:
    """Return (positive factor that is one number for all entries, the rest)."""
    factors = sympy.Mul.make_args(expression)
    common = [f for f in factors if f.free_symbols <= {STEP} and positive(f)]
    if len(common) == len(factors):  # a constant tensor keeps its entries: its size matters
        return sympy.S.One, expression
    return sympy.Mul(*common), sympy.Mul(*(f for f in factors if f not in common))


def positive(expression: Any) -> bool:
    """Whether an expression is surely positive; knows bias corrections 1 - b^t with 0 < b < 1."""
    if expression.is_positive:
        return True
    base, exponent = expression.as_base_exp()
    if base != expression and exponent.is_real:
        return positive(base)
    decay, exponent = (1 - expression).as_base_exp()
    return exponent == STEP and bool(decay.is_number and decay > 0 and decay < 1)


def _latex(op: Op, args: tuple[Any, ...], printer: Any, exponent: str | None) -> str:
    template = _LATEX.get(op.name)
    if template is None:
        name = op.name.replace("_", r"\,")
        inner = ", ".join(printer.doprint(argument) for argument in args)
        text = rf"\operatorname{{{name}}}\left({inner}\right)"
    elif r"\left" in template:
        text = template.format(*(printer.doprint(argument) for argument in args))
    else:
        text = template.format(*(printer.parenthesize(a, PRECEDENCE["Pow"]) for a in args))
    return text if exponent is None else rf"\left({text}\right)^{{{exponent}}}"
