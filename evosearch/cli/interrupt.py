"""Ctrl-C, SIGTERM, SIGHUP: the first ends the search in order, the second the process at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from evosearch.errors import EvosearchError

__all__ = ["INTERRUPTED", "interruptible"]

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C, as shells have it: 128 + SIGINT."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a KeyboardInterrupt, and exit at the second.

    It comes out as one also where a library turned it into another exception, as some do in the
    middle of an import. The journal is safe either way; see `evosearch.storage.journal`.
    """
    came = False

    def handle(_signal: int, _frame: FrameType | None) -> None:
        nonlocal came
        if came:
            os._exit(INTERRUPTED)
        came = True
        raise KeyboardInterrupt

    names = ("SIGINT", "SIGTERM", "SIGHUP")  # the last when a terminal or a connection goes away
    signals = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = [signal.signal(number, handle) for number in signals]
    try:
        yield
    except Exception as error:
        import typer

        said = isinstance(error, EvosearchError | typer.Exit | typer.Abort)  # on purpose
        if came and not said:
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
