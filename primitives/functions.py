"""Rows: functions of one value, entry by entry."""

from __future__ import annotations

from math import inf

import numpy as np

from primitives import oracle
from primitives.op import Constant, Law, Op
from primitives.row import SMALLEST, elementwise, manual

__all__ = ["FAMILIES"]

_ODD = {Law.ODD, Law.ZERO_PRESERVING}
_RISING = {Law.MONOTONE}
_CROSSING = {Law.ODD, Law.ZERO_PRESERVING, Law.MONOTONE, Law.SIGN_KEEPING}
"""Rising through 0, like the identity."""

_POWERS: tuple[Op, ...] = (
    elementwise(
        "square",
        "torch.square({0})",
        np.square,
        "x**2",
        "x^2.",
        inplace="{0}.square_()",
        degree=2,
        laws={Law.EVEN, Law.ZERO_PRESERVING, Law.NONNEGATIVE},
        reference=manual("square"),
    ),
    elementwise(
        "cube",
        "{0} * {0} * {0}",
        lambda x: x * x * x,
        "x**3",
        "x^3.",
        degree=3,
        flops=2,
        laws=_CROSSING,
        reference=manual("pow"),
    ),
    elementwise(
        "sqrt",
        "torch.sqrt({0})",
        np.sqrt,
        "sqrt(x)",
        "Square root; NaN below 0.",
        inplace="{0}.sqrt_()",
        degree=0.5,
        flops=4,
        domain=(0.0, inf),
        laws={Law.ZERO_PRESERVING, Law.NONNEGATIVE, Law.MONOTONE, Law.SIGN_KEEPING},
        reference=manual("sqrt"),
    ),
    elementwise(
        "rsqrt",
        "safe_div(1.0, torch.sqrt({0}))",
        oracle.rsqrt,
        "1/sqrt(x)",
        "Reciprocal square root, safe: 0 at 0; NaN below 0.",
        degree=-0.5,
        flops=6,
        domain=(0.0, inf),
        laws={Law.ZERO_PRESERVING, Law.NONNEGATIVE, Law.SIGN_KEEPING},
        exceptions="The sympy form is infinite at 0; the op is 0 there.",
        reference=manual("rsqrt"),
    ),
    elementwise(
        "cbrt",
        "signed_power({0}, 1 / 3)",
        np.cbrt,
        "sign(x)*Abs(x)**Rational(1, 3)",
        "Real cube root.",
        degree=1 / 3,
        flops=20,
        laws=_CROSSING,
        reference="https://numpy.org/doc/stable/reference/generated/numpy.cbrt.html",
    ),
    elementwise(
        "power",
        "signed_power({0}, {1})",
        oracle.signed_power,
        "sign(x)*Abs(x)**a",
        "sign(x) |x|^p: the odd power, defined on the whole line; 0 at 0 for every p.",
        flops=20,
        constants=(Constant.EXPONENT,),
        probes=((0.5,), (2.0,), (-0.7,), (0.0,)),
        laws=_ODD | {Law.SIGN_KEEPING},
        exceptions="The sympy form is undefined at x = 0 for p < 0; the op is 0 there.",
        reference=manual("pow"),
    ),
)

_EXPONENTIALS: tuple[Op, ...] = (
    elementwise(
        "exp",
        "torch.exp({0})",
        np.exp,
        "exp(x)",
        "e to the power x; overflows above 88 in float32.",
        inplace="{0}.exp_()",
        flops=10,
        domain=(-inf, 88.0),
        laws={Law.NONNEGATIVE, Law.POSITIVE, Law.MONOTONE},
        reference=manual("exp"),
    ),
    elementwise(
        "log",
        "torch.log({0})",
        np.log,
        "log(x)",
        "Natural logarithm; -inf at 0, NaN below.",
        inplace="{0}.log_()",
        flops=10,
        domain=(SMALLEST, inf),
        laws=_RISING,
        reference=manual("log"),
    ),
    elementwise(
        "log1p",
        "torch.log1p({0})",
        np.log1p,
        "log(1 + x)",
        "log(1 + x), accurate near 0; -inf at -1, NaN below.",
        flops=10,
        domain=(-1.0 + 2.0**-53, inf),
        laws={Law.ZERO_PRESERVING, Law.MONOTONE, Law.SIGN_KEEPING},
        reference=manual("log1p"),
    ),
    elementwise(
        "sigmoid",
        "1 / (1 + torch.exp(-{0}))",
        lambda x: 1.0 / (1.0 + np.exp(-x)),
        "1/(1 + exp(-x))",
        "Logistic function, from 0 to 1.",
        flops=12,
        laws={Law.NONNEGATIVE, Law.POSITIVE, Law.MONOTONE},
        reference=manual("sigmoid"),
    ),
)

_TRIGONOMETRIC: tuple[Op, ...] = (
    elementwise(
        "sin",
        "torch.sin({0})",
        np.sin,
        "sin(x)",
        "Sine.",
        flops=10,
        laws=_ODD,
        reference=manual("sin"),
    ),
    elementwise(
        "cos",
        "torch.cos({0})",
        np.cos,
        "cos(x)",
        "Cosine.",
        flops=10,
        laws={Law.EVEN},
        reference=manual("cos"),
    ),
    elementwise(
        "tan",
        "torch.tan({0})",
        np.tan,
        "tan(x)",
        "Tangent.",
        flops=10,
        laws=_ODD,
        reference=manual("tan"),
    ),
    elementwise(
        "arcsin",
        "torch.arcsin({0})",
        np.arcsin,
        "asin(x)",
        "Inverse sine; NaN outside [-1, 1].",
        flops=10,
        domain=(-1.0, 1.0),
        laws=_CROSSING,
        reference=manual("arcsin"),
    ),
    elementwise(
        "arccos",
        "torch.arccos({0})",
        np.arccos,
        "acos(x)",
        "Inverse cosine; NaN outside [-1, 1].",
        flops=10,
        domain=(-1.0, 1.0),
        laws={Law.NONNEGATIVE},
        reference=manual("arccos"),
    ),
    elementwise(
        "arctan",
        "torch.arctan({0})",
        np.arctan,
        "atan(x)",
        "Inverse tangent, a soft clip to (-pi/2, pi/2); of m / sqrt(v), Adam without epsilon.",
        inplace="{0}.arctan_()",
        flops=10,
        laws=_CROSSING,
        reference="https://arxiv.org/abs/2407.05872",
    ),
)

_HYPERBOLIC: tuple[Op, ...] = (
    elementwise(
        "sinh",
        "(torch.expm1({0}) - torch.expm1(-{0})) / 2",
        np.sinh,
        "sinh(x)",
        "Hyperbolic sine; overflows beyond 88 in float32.",
        flops=12,
        domain=(-88.0, 88.0),
        laws=_CROSSING,
        reference=manual("sinh"),
    ),
    elementwise(
        "cosh",
        "(torch.exp({0}) + torch.exp(-{0})) / 2",
        np.cosh,
        "cosh(x)",
        "Hyperbolic cosine; overflows beyond 88 in float32.",
        flops=12,
        domain=(-88.0, 88.0),
        laws={Law.EVEN, Law.NONNEGATIVE, Law.POSITIVE},
        reference=manual("cosh"),
    ),
    elementwise(
        "tanh",
        "torch.tanh({0})",
        np.tanh,
        "tanh(x)",
        "Hyperbolic tangent, a soft sign.",
        inplace="{0}.tanh_()",
        flops=12,
        laws=_CROSSING,
        reference=manual("tanh"),
    ),
    elementwise(
        "arcsinh",
        "torch.arcsinh({0})",
        np.arcsinh,
        "asinh(x)",
        "Inverse hyperbolic sine: linear near 0, a signed logarithm far out.",
        flops=12,
        laws=_CROSSING,
        reference=manual("arcsinh"),
    ),
)

FAMILIES: dict[str, tuple[Op, ...]] = {
    "Powers and roots": _POWERS,
    "Exponential and logarithm": _EXPONENTIALS,
    "Trigonometric": _TRIGONOMETRIC,
    "Hyperbolic": _HYPERBOLIC,
}
