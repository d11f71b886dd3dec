"""Python's garbage collector, told what is not worth looking at."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collected_before"]


@contextmanager
def collected_before() -> Iterator[None]:
    """Collect garbage now; until the end, leave what exists now out of further collections.

    A search makes many small objects, which calls for collections, and a full one walks through
    all that torch and the other libraries have loaded: the time of some hundred new candidates.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
