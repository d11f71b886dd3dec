"""Whether a cluster's head still answers; Ray itself would wait a minute, and end the process."""

from __future__ import annotations

import threading
from typing import Final

from evosearch.workers.handshake import greet

__all__ = ["Heartbeat"]

_EVERY: Final = 3.0
"""Seconds between questions."""
_PATIENCE: Final = 5.0
"""Seconds that an answer may take."""
_MISSED: Final = 4
"""Questions in a row without an answer after which the head counts as lost."""


class Heartbeat:
    """Asks a head every few seconds, in a thread of its own, whether it is there.

    Args:
        address: The head's, ``host:port``.

    Attributes:
        lost: Whether it has not answered for a while.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.lost = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="heartbeat", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ask no more."""
        self._over.set()

    def _ask(self) -> None:
        host, _, port = self.address.rpartition(":")
        missed = 0
        while not self._over.wait(_EVERY) and not self.lost:
            try:
                greet(host.strip("[]"), int(port), _PATIENCE)
                missed = 0
            except OSError:
                missed += 1
                self.lost = missed >= _MISSED
