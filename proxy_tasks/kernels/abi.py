"""What our kernels are made for, and what they are given."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

__all__ = ["HEADER", "PART", "RECORD", "ROWS", "TILES", "WIDTH", "Third", "Tile"]

HEADER: Final = "2q"
"""`struct` format of what the argument begins with: how many lanes, how many products."""
RECORD: Final = "19q2f"
"""`struct` format of each product: m, k, n; a and its strides over lanes, rows, columns; b and its
three; the result and its two, as its rows lie in one piece; c and its three, that over columns 0 or
1; scratch; alpha and beta. Strides count floats."""
ROWS: Final = "7qf"
"""`struct` format of the argument of `proxy_tasks.kernels.row_kernels`: how many rows, how long
each is, five addresses, a number."""
PART: Final = 512
"""Entries that the register machine works on at a time."""
WIDTH: Final = 16
"""Rows are multiples of this long, and sums over one run over so many columns apart, however wide
the vectors of a processor are."""


class Third(Enum):
    """What the third operand C is for."""

    NONE = "none"
    ADDEND = "addend"
    """Is added, times beta; it has an entry for each one of the result."""
    BIAS = "bias"
    """Is added, times beta; it has an entry for each row of the result."""
    GATE = "gate"
    """The result is 0 where C is not above 0; it has an entry for each one of the result."""


@dataclass(frozen=True)
class Tile:
    """What is accumulated in registers at a time."""

    heights: tuple[int, ...]
    """Rows of the tiles that a result is cut into, the largest first, and 1 the last."""
    width: int
    """Floats in a vector."""

    @property
    def columns(self) -> int:
        """Two vectors."""
        return 2 * self.width

    @property
    def size(self) -> int:
        """Entries of the largest tile."""
        return self.heights[0] * self.columns


TILES: Final = {"avx512f": Tile((8, 4, 2, 1), 16), "fma": Tile((6, 4, 2, 1), 8)}
"""By the feature that a processor must have: most of its 32 or 16 vector registers are in use."""
