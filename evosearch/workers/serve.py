"""What a worker's process does: it answers calls through a pipe until the other end is closed.

It loads what a call needs when that comes: a process for a small thing starts at once.
"""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing.connection import Connection

from evosearch.errors import EvosearchError

__all__ = ["Raised", "serve"]


class Raised:
    """Stands for an answer where there was an exception."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def serve(descriptor: int) -> None:
    """Answer calls through a pipe until its other end is closed; what the process does."""
    pipe = Connection(descriptor)
    _end_with_parent()
    perform, prepare = pipe.recv()
    try:
        answer = prepare() if prepare is not None else None
    except Exception as error:
        pipe.send(_portable(error))
        return
    pipe.send(answer)
    if perform is None:
        return
    import torch

    torch.set_num_threads(1)
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        try:
            answer = perform(job)
        except Exception as error:
            answer = _portable(error)
        pipe.send(answer)


def _portable(error: Exception) -> Raised:
    """Return an exception that can be sent, with its traceback as a note."""
    import pickle
    import traceback

    if not isinstance(error, EvosearchError):
        error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return Raised(RuntimeError("".join(traceback.format_exception(error))))
    return Raised(error)


def _end_with_parent() -> None:
    """Have this process killed when the one that started it ends, also while it hangs."""
    if sys.platform.startswith("linux"):
        import ctypes

        set_death_signal = 1  # PR_SET_PDEATHSIG, prctl(2)
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)
        if os.getppid() == 1:  # it ended before
            os._exit(1)
