"""What listens at an address, asked before Ray is started: `ray.init` would try for minutes.

Ray's head answers one harmless question, whether nodes are alive, with its version, or it asks for
a token. So token mode follows the cluster, and not what happens to lie on this machine. The
question is gRPC by hand, a few frames of HTTP/2 (RFC 9113) with headers that are not compressed
(RFC 7541, section 6.2.2), because Ray's own client settles the mode when it is imported.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["Head", "greet"]

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_METHOD: Final = b"/ray.rpc.NodeInfoGcsService/CheckAlive"
_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_END_STREAM, _END_HEADERS = 1, 4
_EMPTY_MESSAGE: Final = b"\0\0\0\0\0"
_STATUS: Final = re.compile(rb"grpc-status[\x01\x02](\d{1,2})")
_VERSION: Final = re.compile(rb"\x12.(\d+\.\d+[\w.]*)")
_UNAUTHENTICATED: Final = 16


@dataclass(frozen=True)
class Head:
    """A cluster's head."""

    version: str | None
    """Of Ray there; None where it does not say, as under TLS."""
    refuses: bool
    """Whether it refuses us: it wants a token, or another one than it was shown."""


def greet(host: str, port: int, timeout: float, token: str | None = None) -> Head:
    """Ask what listens at an address.

    Args:
        host: Name or number of the machine.
        port: Of the head's server, 6379 unless it was started otherwise.
        timeout: Seconds that it may be silent.
        token: What to show it.

    Raises:
        OSError: Nothing listens, it says nothing in time, or something else than Ray would.
    """
    with socket.create_connection((host, port), timeout=timeout) as connection:
        if os.environ.get("RAY_USE_TLS", "0") == "1":
            return Head(None, refuses=False)
        fields = [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", _METHOD),
            (b":authority", host.encode()),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
        ]
        if token is not None:
            fields.append((b"authorization", f"Bearer {token}".encode()))
        connection.sendall(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, b"")
            + _frame(_HEADERS, _END_HEADERS, 1, _literals(fields))
            + _frame(_DATA, _END_STREAM, 1, _EMPTY_MESSAGE)
        )
        answer = b""
        while (status := _STATUS.search(answer)) is None:
            if not (part := connection.recv(4096)):
                raise ConnectionError("what listens there is not Ray")
            answer += part
            if answer[3:4] != bytes([_SETTINGS]) and len(answer) > 3:
                raise ConnectionError("what listens there is not Ray")
    if int(status[1]) not in (0, _UNAUTHENTICATED):
        raise ConnectionError("what listens there is not Ray")
    version = _VERSION.search(answer)
    return Head(version[1].decode() if version else None, int(status[1]) == _UNAUTHENTICATED)


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


def _literals(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return headers as literals, of which no side has to remember anything."""
    return b"".join(b"\0" + _string(name) + _string(value) for name, value in fields)


def _string(text: bytes) -> bytes:
    """Return text behind its length, which is seven bits and, if those are not enough, more."""
    if (rest := len(text) - 127) < 0:
        return bytes([len(text)]) + text
    length = bytearray([127])
    while rest >= 128:
        length.append(rest % 128 | 128)
        rest //= 128
    return bytes([*length, rest]) + text
