"""The vocabulary: every op that a program may use, by name.

The rows are in one module for each group of families; this is the table they make up.

    >>> OPS["lerp"].signature.text
    'ij,ij->ij'
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from primitives import arithmetic, averages, functions, matrices, projections, reductions
from primitives.op import Op

__all__ = ["FAMILIES", "INFIX", "OPS"]

FAMILIES: Final[Mapping[str, tuple[Op, ...]]] = MappingProxyType(
    arithmetic.FAMILIES
    | functions.FAMILIES
    | averages.FAMILIES
    | reductions.FAMILIES
    | matrices.FAMILIES
    | projections.FAMILIES
)
"""Title of a family to its rows, in the order of the reference page."""

OPS: Final[Mapping[str, Op]] = MappingProxyType(
    {op.name: op for family in FAMILIES.values() for op in family}
)
"""Name to row, in the same order."""

INFIX: Final[Mapping[str, Op]] = MappingProxyType({op.infix: op for op in OPS.values() if op.infix})
"""Python operator to the row that it stands for in program text."""
