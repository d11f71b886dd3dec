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

from primitives.shape import FULL, STEP, Shape

__all__ = ["Constant", "Cost", "Law", "Op", "Signature"]


class Constant(Enum):
    """What a literal constant of an op means, hence how it is drawn and mutated."""

    RATE = "an interpolation weight, usually in (0, 1); moves in log(w / (1 - w))"
    DECAY = "a decay rate beta in (0, 1); moves in log(1 - beta)"
    GAIN = "a factor or threshold; moves in its logarithm"
    EXPONENT = "a power; moves additively"
    COEFFICIENT = "a coefficient of a polynomial, of either sign; moves in its logarithm"
    PERIOD = "a number of steps, 1 or more; moves in its logarithm, to a whole number"

    @property
    def limits(self) -> tuple[float, float]:
        """What lies outside is refused: a mistake, and no constant of the kind."""
        match self:
            case Constant.RATE | Constant.DECAY:
                return -1e6, 1e6  # what simplification makes of averages may leave (0, 1)
            case Constant.GAIN:
                return 0.0, 1e30
            case Constant.EXPONENT:
                return -100.0, 100.0
            case Constant.COEFFICIENT:
                return -1e6, 1e6
            case Constant.PERIOD:
                return 1.0, 1e6


class Law(Enum):
    """An algebraic fact about an op.

    Unless a law says otherwise it speaks of the first argument, with the others and the constants
    held fixed. Facts are those of real arithmetic: rounding and overflow are not exceptions.
    """

    ELEMENTWISE = "each output entry depends on the same entry of the inputs alone"
    RANK_FREE = "does not depend on how the tensor is folded into a matrix, or transposed"
    ODD = "f(-x) = -f(x)"
    EVEN = "f(-x) = f(x)"
    SCALE_INVARIANT = "f(c x) = f(x) for c > 0"
    HOMOGENEOUS = "f(c x) = c f(x) for c > 0"
    IDEMPOTENT = "f(f(x)) = f(x)"
    INVOLUTION = "f(f(x)) = x"
    COMMUTATIVE = "f(x, y) = f(y, x)"
    LINEAR = "f(a x + b y) = a f(x) + b f(y), in all tensor arguments jointly"
    TRANSPOSE_EQUIVARIANT = "f(x^T) = f(x)^T"  # follows from RANK_FREE, not repeated there
    ZERO_PRESERVING = "f(0) = 0"
    NONNEGATIVE = "f(x) >= 0"
    POSITIVE = "f(x) > 0"
    SIGN_KEEPING = "f(x) has the sign of x, entry by entry"
    SIGN_BLIND = "f(|x|) = f(x)"  # for elementwise ops it is EVEN, and not repeated there
    MULTIPLE = "f(x) = c x for one c > 0, which may depend on x"
    MONOTONE = "nondecreasing in the first argument"


@dataclass(frozen=True)
class Signature:
    """Shape rule of an op, written like einsum: ``"ij,jk->ik"``.

    ``*`` stands for broadcasting: ``"*,*->*"`` takes any two shapes that broadcast. A letter is
    bound to a dimension by its first use and must match afterwards; ``1`` is the literal dimension.
    The result ``step`` is an update that can only be returned.
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
        if len(shapes) != self.arity or STEP in shapes:
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
        if self.output == "step":
            return STEP if tuple(shapes) == (FULL,) else None
        return Shape(bound[self.output[0]], bound[self.output[1]])


@dataclass(frozen=True)
class Cost:
    """Work of one application, as Python expressions in m, n and k.

    m and n are the rows and columns of the first argument (of the broadcast result, where the op
    broadcasts), k the columns of the last argument.
    """

    flops: str
    """Floating-point operations."""
    entries: str
    """Tensor entries read and written; bytes are this times the size of an entry."""

    def evaluate(self, m: int, n: int, k: int | None = None) -> tuple[float, float]:
        """Return (flops, entries moved) for concrete sizes; k is n unless given."""
        scope = {"m": m, "n": n, "k": n if k is None else k, "min": min, "max": max}
        return float(eval(self.flops, {}, scope)), float(eval(self.entries, {}, scope))


@dataclass(frozen=True, eq=False)
class Op:
    """A row of the vocabulary. Tensor arguments come first, constants after them.

    Tensors have shape (..., m, n): leading dimensions are lanes and matrices of a stack, and no op
    mixes them. Where the signature has ``*``, an argument may also be a Python number, as long as
    one argument is a tensor. An op writes to none of its arguments and returns new memory.
    """

    name: str
    signature: Signature
    torch: str
    """Expression template: ``{0}``, ``{1}``, ... are the arguments, tensors first, then constants.

    It may also name ``torch``, the functions of `primitives.kernels`, ``t``, the step number from 1
    (a number or a 0-dimensional tensor), and ``w``, the parameter, for its dtype and device.
    Arguments are substituted as names or as literals that bind tightly (negative numbers in
    parentheses).
    """
    numpy: Callable[..., Any]
    """Independent reference: takes arrays (..., m, n), then constants, then ``t`` if it uses it."""
    sympy: str
    """Expression over ``x, y, z`` (tensors), ``a, b`` (constants), ``t``; empty: opaque function.

    It may apply other ops' opaque functions by name: ``x/norm(x)``.
    """
    doc: str
    cost: Cost
    inplace: str = ""
    """Template that leaves the same result, bit for bit, in the memory of ``{0}``; empty: none.

    It requires ``{0}`` to have the result's shape and to be none of the other arguments.
    """
    constants: tuple[Constant, ...] = ()
    laws: frozenset[Law] = frozenset()
    inexact: frozenset[Law] = frozenset()
    """The laws among `laws` that hold only up to a tolerance; they license no silent rewrite."""
    exceptions: str = ""
    """Where a law, the sympy form or the reference holds only up to a tolerance, and which."""
    degree: float | None = None
    """Degree k of f(c x) = c^k f(x) for c > 0, where no law says it (k is neither 0 nor 1)."""
    probes: tuple[tuple[float, ...], ...] = ()
    """Constants to test with, a tuple for each case; required where the op takes constants."""
    domain: tuple[float, float] = (float("-inf"), float("inf"))
    """Closed interval in which all tensor arguments must lie for a finite result."""
    limits: tuple[float, float] | None = None
    """Closed interval for the constants, where it is not their kind's."""
    drawn: bool = True
    """Whether a search draws it where its space does not say which ops it has."""
    keeps: str = ""
    """The op that measures what the weights keep while they move by the result; empty: nothing.

    Such an op returns its operand, and the weights become ``v * size(w) / size(v)`` where ``v = w -
    lr * u`` is where the update alone leads; where a size is 0, they become v.
    """
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

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of its arguments in program text: x, y, z, then the constants' kinds."""
        kinds = [kind.name.lower() for kind in self.constants]
        unique = len(set(kinds)) == len(kinds)
        return (*"xyz"[: self.arity], *(kinds if unique else "abc"[: len(kinds)]))

    @property
    def exact_laws(self) -> frozenset[Law]:
        """The laws that a rewrite may rely on."""
        return self.laws - self.inexact

    @property
    def homogeneity(self) -> float | None:
        """The exact degree k of f(c x) = c^k f(x) for c > 0, or None."""
        if Law.SCALE_INVARIANT in self.exact_laws:
            return 0
        return 1 if Law.HOMOGENEOUS in self.exact_laws else self.degree

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

    @property
    def broadcasts(self) -> bool:
        """Whether arguments broadcast, and hence may be Python numbers."""
        return "*" in self.signature.inputs

    @cached_property
    def kernels(self) -> tuple[str, ...]:
        """The functions of `primitives.kernels` that the template calls."""
        from primitives import kernels

        words = dict.fromkeys(re.findall(r"(?<![.\w])[a-z_]\w*(?=\()", self.torch))
        return tuple(word for word in words if word in kernels.__all__)

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The template as a torch callable ``f(*tensors, *constants, t=1, w=None)``.

        ``t`` matters where `uses_step`; ``w`` only to an op without arguments, which takes its
        dtype and device from it (float64 on the CPU by default).
        """
        import torch

        from primitives import kernels

        names = [f"x{i}" for i in range(self.arity + len(self.constants))]
        scope = {"torch": torch, "DEFAULT": torch.empty(1, 1, dtype=torch.float64)}
        scope |= {name: getattr(kernels, name) for name in self.kernels}
        signature = ", ".join([*names, "*", "t=1", "w=DEFAULT"])
        function = eval(f"lambda {signature}: {self.torch.format(*names)}", scope)
        function.__name__ = self.name
        return function

    def work(self, shapes: Sequence[Shape], m: int, n: int) -> tuple[float, float]:
        """Return (flops, entries moved) of one application to arguments of these shapes."""
        if not shapes:
            return self.cost.evaluate(1, 1)
        sizes = [shape.sizes(m, n) for shape in shapes]
        rows, cols = sizes[0]
        if self.broadcasts:
            rows, cols = max(s[0] for s in sizes), max(s[1] for s in sizes)
        return self.cost.evaluate(rows, cols, sizes[-1][1])
