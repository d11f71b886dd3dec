"""A run's report served to this machine while the run goes on; it only reads.

The page asks for itself again every few seconds and is made anew where the journal has grown. The
server listens on 127.0.0.1 alone, answers requests that name it so, and knows two addresses.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Final

from evosearch.errors import EvosearchError, UsageError
from evosearch.report.render import render
from evosearch.runs.watch import Watch

__all__ = ["HOST", "LivePage", "live_server"]

HOST: Final = "127.0.0.1"
_NAMES: Final = (HOST, "localhost")
_EVERY: Final = 2.0
"""Seconds between two questions of a page."""
_SHARE: Final = 0.1
"""What of the time making pages may take."""


class LivePage:
    """The report of a run as it is now.

    Args:
        directory: The run directory.

    Raises:
        RunError: It cannot be read.
    """

    def __init__(self, directory: Path) -> None:
        self._watch = Watch(directory)
        self._lock = Lock()
        self._version = ""
        self._page = ""
        self._due = 0.0

    def get(self) -> tuple[str, str]:
        """Return the page's version, which changes with the run, and its text.

        Raises:
            RunError: The run cannot be read any more.
        """
        with self._lock:
            start = time.monotonic()
            if start >= self._due:
                sight = self._watch.look(start)
                counts = sight.history.counts
                seen = (len(sight.history.baselines), counts.packs, len(counts.faults))
                version = f'"{"-".join(map(str, seen))}-{sight.budget}-{sight.state}"'
                if version != self._version:
                    mark = f'<p id="live" data-version="{escape(version)}" data-every="{_EVERY}">'
                    self._page = render(self._watch.run, f"{mark}live</p>")
                    self._version = version
                end = time.monotonic()
                self._due = end + (end - start) / _SHARE
            return self._version, self._page


def live_server(page: LivePage, port: int = 0) -> ThreadingHTTPServer:
    """Return a server of a page on 127.0.0.1; `serve_forever` runs it.

    Args:
        page: The page.
        port: The port; any free one for 0.

    Raises:
        UsageError: The port is taken.
    """
    try:
        return ThreadingHTTPServer((HOST, port), _handler(page.get))
    except OSError as error:
        raise UsageError(f"expected a free port, found {port}: {error.strerror}") from None


def _handler(get: Callable[[], tuple[str, str]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers GET and HEAD; there is nothing to change."""

        server_version = "evosearch"
        sys_version = ""

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the page asks often."""

        def _answer(self, *, body: bool) -> None:
            # A page of elsewhere whose name was made to mean this machine must get nothing.
            assert isinstance(self.server, ThreadingHTTPServer)
            port = self.server.server_port
            if self.headers.get("Host") not in {f"{name}:{port}" for name in _NAMES}:
                self._send(403, "", f"ask for http://{HOST}:{port}/", body)
            elif self.path not in ("/", "/page"):
                self._send(404, "", "there is / and nothing else", body)
            else:
                try:
                    version, text = get()
                except EvosearchError as error:
                    self._send(500, "", str(error), body)
                    return
                if self.path == "/page" and self.headers.get("If-None-Match") == version:
                    self._send(304, version, "", body)
                else:
                    self._send(200, version, text, body)

        def _send(self, status: int, version: str, text: str, body: bool) -> None:
            data = text.encode()
            self.send_response(status)
            kind = "text/html" if status == 200 else "text/plain"
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Cross-Origin-Resource-Policy", "same-origin")
            self.send_header("X-Frame-Options", "DENY")
            self.send_header("Cache-Control", "no-store")
            if version:
                self.send_header("ETag", version)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if body:
                self.wfile.write(data)

    return Handler
