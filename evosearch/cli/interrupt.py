"""Ctrl-C and SIGTERM: the first ends the search in order, the second ends the process at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from evosearch.cli.failure import INTERRUPTED

__all__ = ["interruptible"]


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into a KeyboardInterrupt, and exit at the second.

    The journal is safe either way; see `evosearch.journal`.
    """
    caught = False

    def handle(_signal: int, _frame: FrameType | None) -> None:
        nonlocal caught
        if caught:
            os._exit(INTERRUPTED)
        caught = True
        raise KeyboardInterrupt

    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, handle) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
