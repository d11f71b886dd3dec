"""One op: a row of the vocabulary, the only place where an op is defined.

A row says what an op accepts (its signature), how torch computes it (a template that the source
generator inlines), how numpy computes it independently (the oracle in tests, and what the
fingerprint runs), what it is in sympy, which algebraic laws it obeys and what it costs. Checking,
interpretation, generated source, simplification, mutation, documentation and tests are all derived
from the row. A law is a fact about the op; only exact ones may license a silent rewrite.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

from primitives.shape import Shape

__all__ = ["Constant", "Cost", "Law", "Op", "Signature"]


class Constant(Enum):
    """What a literal constant of an op means, hence how it is drawn and mutated."""

    RATE = "an interpolation weight, usually in (0, 1); moves in log(w / (1 - w))"
    DECAY = "a decay rate beta in (0, 1); moves in log(1 - beta)"
    GAIN = "a factor or threshold; moves in its logarithm"
    EXPONENT = "a power; moves additively"


class Law(Enum):
    """An algebraic fact about an op. Laws about scale and sign speak of the first argument."""

    ELEMENTWISE = "each output entry depends on the same entry of the inputs alone"
    RANK_FREE = "does not depend on how the tensor is folded into a matrix"
    ODD = "f(-x) = -f(x)"
    EVEN = "f(-x) = f(x)"
    SCALE_INVARIANT = "f(c x) = f(x) for c > 0"
    HOMOGENEOUS = "f(c x) = c f(x) for c > 0"
    IDEMPOTENT = "f(f(x)) = f(x)"
    COMMUTATIVE = "f(x, y) = f(y, x)"
    LINEAR = "f(a x + b y) = a f(x) + b f(y), in all tensor arguments jointly"
    TRANSPOSE_EQUIVARIANT = "f(x^T) = f(x)^T"
    ZERO_PRESERVING = "f(0) = 0"
    NONNEGATIVE = "f(x) >= 0"
    MONOTONE = "nondecreasing in the first argument"


@dataclass(frozen=True)
class Signature:
    """Shape rule of an op, written like einsum: ``"ij,jk->ik"``.

    ``*`` stands for broadcasting: ``"*,*->*"`` takes any two shapes that broadcast. A letter is bound
    to a dimension by its first use and must match afterwards; ``1`` is the literal dimension.
    """

    text: str

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The patterns of the tensor arguments."""
        left = self.text.partition("->")[0]
        return tuple(left.split(",")) if left else ()

    @cached_property
    def output(self) -> str:
        """The pattern of the result."""
        return self.text.partition("->")[2]

    @property
    def arity(self) -> int:
        """The number of tensor arguments."""
        return len(self.inputs)

    def infer(self, shapes: Sequence[Shape]) -> Shape | None:
        """Return the result's shape, or None where the arguments do not fit."""
        if len(shapes) != self.arity:
            return None
        bound: dict[str, str] = {"1": "1"}
        wide: Shape | None = Shape("1", "1")
        for pattern, shape in zip(self.inputs, shapes, strict=True):
            if pattern == "*":
                wide = wide.broadcast(shape)
                if wide is None:
                    return None
                continue
            for letter, dimension in zip(pattern, shape, strict=True):
                if bound.setdefault(letter, dimension) != dimension:
                    return None
        if self.output == "*":
            return wide
        return Shape(bound[self.output[0]], bound[self.output[1]])


@dataclass(frozen=True)
class Cost:
    """Work of one application to an (m, n) parameter, as Python expressions in m and n."""

    flops: str
    """Floating-point operations."""
    entries: str
    """Tensor entries read and written; bytes are this times the size of an entry."""

    def evaluate(self, m: int, n: int) -> tuple[float, float]:
        """Return (flops, entries moved) for a concrete matrix."""
        scope = {"m": m, "n": n, "min": min, "max": max}
        return float(eval(self.flops, {}, scope)), float(eval(self.entries, {}, scope))


@dataclass(frozen=True, eq=False)
class Op:
    """A row of the vocabulary. Tensor arguments come first, constants after them.

    Tensors have shape (..., m, n): leading dimensions are lanes and matrices of a stack, and no op
    mixes them.
    """

    name: str
    signature: Signature
    torch: str
    """Expression template: ``{0}``, ``{1}`` are the arguments, ``t`` the step number from 1."""
    numpy: Callable[..., Any]
    """Independent reference; receives arrays (..., m, n), then constants, then ``t`` if it uses it."""
    sympy: str
    """Expression over ``x, y, z`` (tensors), ``a, b`` (constants), ``t``; empty: an opaque function."""
    doc: str
    cost: Cost
    constants: tuple[Constant, ...] = ()
    laws: frozenset[Law] = frozenset()
    exceptions: str = ""
    """Where a law or the reference holds only up to a tolerance, and which."""
    probes: tuple[tuple[float, ...], ...] = ()
    """Constants to test with, a tuple for each case; required where the op takes constants."""
    domain: tuple[float, float] = (float("-inf"), float("inf"))
    """Where all tensor arguments must lie for a finite result."""
    infix: str = ""
    """Python operator that stands for the op in program text, if any."""
    reference: str = ""
    """Paper or page that defines it."""

    def __repr__(self) -> str:
        return f"Op({self.name})"

    @property
    def arity(self) -> int:
        """The number of tensor arguments."""
        return self.signature.arity

    @property
    def elementwise(self) -> bool:
        """Whether each output entry depends on the same input entries alone."""
        return Law.ELEMENTWISE in self.laws

    @property
    def rank_free(self) -> bool:
        """Whether the op means the same for a tensor of any rank."""
        return self.elementwise or Law.RANK_FREE in self.laws

    @property
    def uses_step(self) -> bool:
        """Whether the template reads the step number ``t``."""
        return re.search(r"\bt\b", self.torch) is not None
