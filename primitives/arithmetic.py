"""Rows: arithmetic, and choosing between values."""

from __future__ import annotations

import numpy as np

from primitives import oracle
from primitives.op import Constant, Law, Op
from primitives.row import elementwise, manual

__all__ = ["FAMILIES"]

_ARITHMETIC: tuple[Op, ...] = (
    elementwise(
        "add",
        "{0} + {1}",
        np.add,
        "x + y",
        "Sum.",
        inplace="{0}.add_({1})",
        arity=2,
        broadcast=True,
        infix="+",
        laws={Law.LINEAR, Law.COMMUTATIVE, Law.MONOTONE},
        reference=manual("add"),
    ),
    elementwise(
        "sub",
        "{0} - {1}",
        np.subtract,
        "x - y",
        "Difference.",
        inplace="{0}.sub_({1})",
        arity=2,
        broadcast=True,
        infix="-",
        laws={Law.LINEAR, Law.MONOTONE},
        reference=manual("sub"),
    ),
    elementwise(
        "mul",
        "{0} * {1}",
        np.multiply,
        "x * y",
        "Entrywise product.",
        inplace="{0}.mul_({1})",
        arity=2,
        broadcast=True,
        infix="*",
        laws={Law.COMMUTATIVE, Law.ODD, Law.HOMOGENEOUS, Law.ZERO_PRESERVING},
        reference=manual("mul"),
    ),
    elementwise(
        "div",
        "safe_div({0}, {1})",
        oracle.safe_div,
        "x / y",
        "Entrywise quotient, safe: 0 where the denominator is 0.",
        arity=2,
        broadcast=True,
        infix="/",
        flops=2,
        laws={Law.ODD, Law.HOMOGENEOUS, Law.ZERO_PRESERVING},
        exceptions="The sympy form is undefined where y = 0; the op is 0 there.",
        reference=manual("div"),
    ),
    elementwise(
        "neg",
        "-{0}",
        np.negative,
        "-x",
        "Negation.",
        inplace="{0}.neg_()",
        laws={Law.LINEAR, Law.ODD, Law.HOMOGENEOUS, Law.ZERO_PRESERVING, Law.INVOLUTION},
        reference=manual("neg"),
    ),
)

_CHOICE: tuple[Op, ...] = (
    elementwise(
        "abs",
        "torch.abs({0})",
        np.abs,
        "Abs(x)",
        "Magnitude.",
        inplace="{0}.abs_()",
        laws={Law.EVEN, Law.HOMOGENEOUS, Law.IDEMPOTENT, Law.ZERO_PRESERVING, Law.NONNEGATIVE},
        reference=manual("abs"),
    ),
    elementwise(
        "sign",
        "torch.sign({0})",
        np.sign,
        "sign(x)",
        "-1, 0 or 1.",
        inplace="{0}.sign_()",
        laws={Law.ODD, Law.SCALE_INVARIANT, Law.IDEMPOTENT, Law.ZERO_PRESERVING, Law.MONOTONE},
        reference=manual("sign"),
    ),
    elementwise(
        "minimum",
        "minimum({0}, {1})",
        np.minimum,
        "Min(x, y)",
        "The smaller of two values.",
        arity=2,
        broadcast=True,
        laws={Law.COMMUTATIVE, Law.IDEMPOTENT, Law.MONOTONE},
        reference=manual("minimum"),
    ),
    elementwise(
        "maximum",
        "maximum({0}, {1})",
        np.maximum,
        "Max(x, y)",
        "The larger of two values.",
        arity=2,
        broadcast=True,
        laws={Law.COMMUTATIVE, Law.IDEMPOTENT, Law.MONOTONE},
        reference=manual("maximum"),
    ),
    elementwise(
        "clip",
        "torch.clamp({0}, -{1}, {1})",
        lambda x, c: np.minimum(np.maximum(x, -c), c),
        "Max(-a, Min(x, a))",
        "Clip to [-c, c], for a constant c > 0.",
        inplace="{0}.clamp_(-{1}, {1})",
        constants=(Constant.GAIN,),
        probes=((1.0,), (0.03,)),
        laws={Law.ODD, Law.IDEMPOTENT, Law.ZERO_PRESERVING, Law.MONOTONE},
        reference=manual("clamp"),
    ),
    elementwise(
        "clip_to",
        "clip_to({0}, {1})",
        oracle.clip_to,
        "Max(-Abs(y), Min(x, Abs(y)))",
        "Clip the first argument to [-|y|, |y|].",
        arity=2,
        broadcast=True,
        laws={Law.ODD, Law.IDEMPOTENT, Law.ZERO_PRESERVING, Law.MONOTONE},
        reference="https://arxiv.org/abs/2302.06675",
    ),
    elementwise(
        "select",
        "select({0}, {1}, {2})",
        lambda c, x, y: np.where(c > 0, x, y),
        "Piecewise((y, x > 0), (z, True))",
        "The second argument where the first is positive, else the third.",
        arity=3,
        broadcast=True,
        laws={Law.SCALE_INVARIANT},
        reference=manual("where"),
    ),
)

FAMILIES: dict[str, tuple[Op, ...]] = {"Arithmetic": _ARITHMETIC, "Choice": _CHOICE}
