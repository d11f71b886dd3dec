"""Whether Ray listens at an address, in seconds: `ray.init` would try for minutes."""

from __future__ import annotations

import os
import socket
from typing import Final

__all__ = ["require_ray"]

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS: Final = b"\0\0\0\4\0\0\0\0\0"
"""An empty frame, its type in the fourth byte. Ray speaks gRPC, hence HTTP/2, where both sides
begin with one (RFC 9113, section 3.4)."""


def require_ray(host: str, port: int, timeout: float) -> None:
    """Return if what listens there answers like Ray; under TLS, if anything listens.

    Raises:
        OSError: Nothing listens, it says nothing in time, or something else than Ray would.
    """
    with socket.create_connection((host, port), timeout=timeout) as connection:
        if os.environ.get("RAY_USE_TLS", "0") == "1":
            return
        connection.sendall(_PREFACE + _SETTINGS)
        if connection.recv(9)[3:4] != _SETTINGS[3:4]:
            raise ConnectionError("what listens there is not Ray")
