"""Known optimizers as families: the constants that each is tuned over, as many as AdamW's.

A claim against a baseline is worth as much as the baseline's tuning. Every family has ten members
(plain SGD, which has no rate to choose, has two), and each member gets the same grid of learning
rates as a candidate. A family's first member has the library's constants. What they are, the
library's rows say (`evosearch.language.library`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from evosearch.language.known import family
from evosearch.language.library import LIBRARY

__all__ = ["FAMILIES"]

FAMILIES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {name: family(name) for name, row in LIBRARY.items() if row.family is not None}
)
"""Program texts by the name of the family, simplest family first."""
