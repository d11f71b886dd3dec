"""Symbolic shapes: what a value's size is, as a function of the parameter's.

A parameter is seen as a matrix of ``m`` rows and ``n`` columns (a convolution weight is folded to
out x rest). Every value in a program then has a shape whose two dimensions are ``m``, ``n`` or
``1``, for instance ``(m, n)`` for the gradient, ``(m, 1)`` for a mean over each row and ``(1, 1)``
for a norm. Shapes are checked once, for every parameter at the same time; no tensor is needed.

    >>> Shape("m", "n").broadcast(Shape("m", "1"))
    Shape(rows='m', cols='n')
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = [
    "COLUMNWISE",
    "FLIPPED",
    "FULL",
    "LEFT",
    "RIGHT",
    "ROWWISE",
    "SCALAR",
    "SHAPES",
    "STEP",
    "Shape",
]


class Shape(NamedTuple):
    """The dimensions of a value, each one of ``"m"``, ``"n"`` and ``"1"``."""

    rows: str
    cols: str

    def __str__(self) -> str:
        return "step" if self == STEP else f"({self.rows}, {self.cols})"

    def broadcast(self, other: Shape) -> Shape | None:
        """Return the shape of an elementwise result, or None where the two do not fit."""
        rows = _unify(self.rows, other.rows)
        cols = _unify(self.cols, other.cols)
        return None if rows is None or cols is None else Shape(rows, cols)

    def sizes(self, m: int, n: int) -> tuple[int, int]:
        """Return the concrete (rows, columns) for a parameter of m rows and n columns."""
        if self == STEP:
            return m, n
        concrete = {"m": m, "n": n, "1": 1}
        return concrete[self.rows], concrete[self.cols]


def _unify(a: str, b: str) -> str | None:
    if b in (a, "1"):
        return a
    return b if a == "1" else None


FULL: Final = Shape("m", "n")
FLIPPED: Final = Shape("n", "m")
LEFT: Final = Shape("m", "m")
RIGHT: Final = Shape("n", "n")
ROWWISE: Final = Shape("m", "1")
COLUMNWISE: Final = Shape("1", "n")
SCALAR: Final = Shape("1", "1")

STEP: Final = Shape("step", "step")
"""An update with what becomes of the weights after it: a rule can return it, and nothing else."""

SHAPES: Final[dict[str, Shape]] = {
    "full": FULL,
    "flipped": FLIPPED,
    "left": LEFT,
    "right": RIGHT,
    "rowwise": ROWWISE,
    "columnwise": COLUMNWISE,
    "scalar": SCALAR,
}
"""The shapes that a state may be declared with, by the name they have in program text."""
