"""Ctrl-C, SIGTERM, SIGHUP: the first ends the search in order, the second the process at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final

__all__ = ["INTERRUPTED", "Interrupt", "interruptible"]

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C, as shells have it: 128 + SIGINT."""


@dataclass
class Interrupt:
    """Whether a signal came; some libraries turn the exception that it raises into another."""

    came: bool = False


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a KeyboardInterrupt, and exit at the second.

    The journal is safe either way; see `evosearch.storage.journal`.
    """
    interrupt = Interrupt()

    def handle(_signal: int, _frame: FrameType | None) -> None:
        if interrupt.came:
            os._exit(INTERRUPTED)
        interrupt.came = True
        raise KeyboardInterrupt

    names = ("SIGINT", "SIGTERM", "SIGHUP")  # the last when a terminal or a connection goes away
    signals = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = [signal.signal(number, handle) for number in signals]
    try:
        yield interrupt
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
