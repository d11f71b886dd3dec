"""Randomness for the search: streams that depend on named integers and on nothing else.

`random.Random.random()` is the one generator call whose values Python promises to keep between
versions, and it is far cheaper than numpy's; everything here is built on it.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from typing import TypeVar

__all__ = ["Rng"]

T = TypeVar("T")


class Rng:
    """A random stream, for instance ``Rng(seed, "proposal", 17)``."""

    __slots__ = ("random",)

    def __init__(self, *key: int | str) -> None:
        digest = hashlib.blake2b(repr(key).encode(), digest_size=16).digest()
        self.random = random.Random(int.from_bytes(digest, "little")).random
        """Return the next float in [0, 1)."""

    def below(self, n: int) -> int:
        """Return an integer in [0, n)."""
        return int(self.random() * n)

    def pick(self, items: Sequence[T]) -> T:
        """Return one of the items, all equally likely."""
        return items[int(self.random() * len(items))]

    def weighted(self, items: Sequence[T], cumulative: Sequence[float]) -> T:
        """Return one of the items by cumulative weights (ascending, last one the total)."""
        x = self.random() * cumulative[-1]
        for item, bound in zip(items, cumulative, strict=True):
            if x < bound:
                return item
        return items[-1]

    def normal(self) -> float:
        """Return a standard normal number (Box and Muller 1958)."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self.random()))
        return radius * math.cos(2.0 * math.pi * self.random())

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self.random() < probability
