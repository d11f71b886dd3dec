"""Ray clusters on this machine that tests join: their heads are processes that can be killed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from evosearch.workers.handshake import greet

RAY = Path(sys.executable).parent / "ray"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@dataclass
class Head:
    """A head and perhaps further nodes, each a process group of its own."""

    port: int
    token: str | None
    folder: Path
    nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add(self, *words: str, cpus: int = 1) -> subprocess.Popen[bytes]:
        """Start a node; without further words one that joins the head."""
        environment = os.environ | {
            "RAY_AUTH_MODE": "disabled" if self.token is None else "token",
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        environment.pop("RAY_AUTH_TOKEN_PATH", None)
        environment.pop("RAY_AUTH_TOKEN", None)
        if self.token is not None:
            environment["RAY_AUTH_TOKEN"] = self.token
        role = words or (f"--address={self.address}",)
        node = subprocess.Popen(
            [
                *(str(RAY), "start", *role, f"--num-cpus={cpus}", "--block"),
                "--object-store-memory=80000000",
            ],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.nodes.append(node)
        return node

    def kill(self, node: subprocess.Popen[bytes]) -> None:
        """End a node with all its processes, as a power cut would."""
        for pid in descendants(node.pid):
            with suppress(ProcessLookupError):  # it ended after it was listed
                os.kill(pid, signal.SIGKILL)
        node.wait()
        self.nodes.remove(node)


def descendants(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(status[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += parents.get(found[-1], [])
    return found


@contextmanager
def ray_head(token: str | None = None, cpus: int = 1) -> Iterator[Head]:
    """Run a head; with a token, one that asks for it."""
    folder = Path(tempfile.mkdtemp(prefix="h-", dir="/tmp"))
    head = Head(free_port(), token, folder)
    head.add(
        "--head",
        f"--port={head.port}",
        "--include-dashboard=false",
        f"--temp-dir={folder}",
        cpus=cpus,
    )
    try:
        end = time.monotonic() + 90
        while True:
            try:
                if greet("127.0.0.1", head.port, 5, token).refuses is False:
                    break
            except OSError:
                assert time.monotonic() < end, "the head does not start"
            time.sleep(0.3)
        yield head
    finally:
        for node in list(head.nodes):
            head.kill(node)
        shutil.rmtree(folder, ignore_errors=True)
