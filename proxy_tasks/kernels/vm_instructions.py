"""What the register machine can do, one vector or one float at a time.

Each instruction rounds as the call of torch does that it stands for, so a rule gives on the machine
what it gives in torch, to the last bit. The exception is the square root: here it is rounded
correctly, and torch's, which is MKL's, often differs from that in the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from proxy_tasks.kernels.ir import Code, SsaValue

__all__ = ["INSTRUCTIONS", "Operation"]


@dataclass(frozen=True)
class Operation:
    """One instruction."""

    arity: int
    write: Callable[..., Any]
    """Writes it: the code that is being written, then so many values, to a value."""


def _sign(code: Code, x: SsaValue) -> SsaValue:
    b, zero, one = code.builder, code.zero(x), code.one(x)
    positive = b.select(b.fcmp_ordered(">", x, zero), one, zero)
    negative = b.select(b.fcmp_ordered("<", x, zero), one, zero)
    return b.fsub(positive, negative)


def _extreme(code: Code, relation: str, x: SsaValue, y: SsaValue) -> SsaValue:
    """Return the larger or the smaller, y of two equals, or a NaN if one of them is."""
    b = code.builder
    result = b.select(b.fcmp_ordered(relation, x, y), x, y)
    return b.select(b.fcmp_unordered("!=", x, x), x, result)


def _bounded(code: Code, relation: str, x: SsaValue, bound: SsaValue) -> SsaValue:
    """Return the bound if it is larger, or smaller, than x; else x, also if it is NaN."""
    b = code.builder
    return b.select(b.fcmp_ordered(relation, bound, x), bound, x)


def _chosen(code: Code, condition: SsaValue, x: SsaValue, y: SsaValue) -> SsaValue:
    return code.builder.select(condition, x, y)


def _nonzero(code: Code, x: SsaValue) -> SsaValue:
    return code.builder.fcmp_unordered("!=", x, code.zero(x))


def _positive(code: Code, x: SsaValue) -> SsaValue:
    return code.builder.fcmp_ordered(">", x, code.zero(x))


INSTRUCTIONS: Final = {
    "copy": Operation(1, lambda _, x: x),
    "add": Operation(2, lambda code, x, y: code.builder.fadd(x, y)),
    "subtract": Operation(2, lambda code, x, y: code.builder.fsub(x, y)),
    "multiply": Operation(2, lambda code, x, y: code.builder.fmul(x, y)),
    "divide": Operation(2, lambda code, x, y: code.builder.fdiv(x, y)),
    "multiply_add": Operation(3, lambda code, x, y, z: code.multiply_add(x, y, z)),
    "negate": Operation(1, lambda code, x: code.builder.fneg(x)),
    "absolute": Operation(1, lambda code, x: code.absolute(x)),
    "sign": Operation(1, _sign),
    "root": Operation(1, lambda code, x: code.root(x)),
    "maximum": Operation(2, lambda code, x, y: _extreme(code, ">", x, y)),
    "minimum": Operation(2, lambda code, x, y: _extreme(code, "<", x, y)),
    "at_least": Operation(2, lambda code, x, y: _bounded(code, ">", x, y)),
    "at_most": Operation(2, lambda code, x, y: _bounded(code, "<", x, y)),
    "where_not_zero": Operation(3, lambda code, c, x, y: _chosen(code, _nonzero(code, c), x, y)),
    "where_positive": Operation(3, lambda code, c, x, y: _chosen(code, _positive(code, c), x, y)),
}
"""By name; an instruction's number is its place here."""
