"""Ray itself: a private cluster on this machine, or a place in one that runs.

Whether tokens are used is the cluster's to say. A private one listens on this machine's loopback
alone, asks for a token that only this user can read, and leaves nothing behind.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from evosearch.errors import ClusterError
from evosearch.workers.handshake import Head, greet

__all__ = ["OLDEST", "Session", "join", "start"]

OLDEST: Final = (2, 55)
"""The first Ray whose private clusters keep to loopback and ask for a token."""

_CONNECT: Final = 20.0
"""Seconds that a cluster may take to answer."""
_OBJECT_STORE: Final = 100 * 2**20
"""Bytes of a local object store; jobs and results are kilobytes."""
_SOCKET_PATH: Final = 43
"""Bytes that a private cluster's folder may have: a socket's path may have 107 (103 on macOS), and
``/session_2026-11-28_13-23-25_302382_1234567/sockets/plasma_store`` is what Ray adds."""
_ATTEMPTS: Final = 3
_SLOW: Final = ("timed out", "timeout", "did not become", "Failed to get")
"""Words by which Ray says that it was too slow to start, as on a loaded machine."""


class Session:
    """This process's connection with Ray, until it is closed.

    Args:
        folder: What belongs to a private cluster.
        before: The environment to restore; None where Ray was the caller's, and stays.
    """

    def __init__(self, folder: Path | None, before: Mapping[str, str | None] | None) -> None:
        self._folder = folder
        self._before = before

    def close(self) -> None:
        """Leave the cluster; end it if it is private."""
        if self._before is None:
            return
        import ray

        ray.shutdown()
        _restore(self._before)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def start(workers: int | None) -> Session:
    """Start a private cluster of so many cores, all unless given; one that this process has serves.

    Raises:
        ClusterError: Ray does not start, or is too old.
    """
    import logging

    if _initialized():
        return Session(None, None)
    folder = _short_folder()
    token = folder / "token"
    with os.fdopen(os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    before = _set(
        RAY_AUTH_MODE="token",
        RAY_AUTH_TOKEN=None,
        RAY_AUTH_TOKEN_PATH=str(token),
        RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",  # Ray's switch for loopback, whatever the system
        RAY_worker_register_timeout_seconds="300",  # it gives up at 60, and starts another one
    )
    session = Session(folder, before)
    try:
        ray = _ray(loopback=True)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                ray.init(
                    address="local",
                    num_cpus=workers,
                    include_dashboard=False,
                    object_store_memory=_OBJECT_STORE,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    _temp_dir=str(folder / "r"),  # which Ray opens to everybody
                    _node_ip_address="127.0.0.1",
                )
                break
            except Exception as error:  # Ray raises what it finds: OSError, RuntimeError, its own
                ray.shutdown()
                if attempt == _ATTEMPTS or not any(word in str(error) for word in _SLOW):
                    raise ClusterError(
                        f"Ray did not start on this machine: {_first_line(error)}. Try again when "
                        "the machine is less busy, or train in one process with `--workers 1`"
                    ) from error
    except BaseException:
        session.close()
        raise
    return session


def join(address: str, runtime: Mapping[str, Any]) -> Session:
    """Take a place in a cluster that runs; its token is looked for only if it asks for one.

    Args:
        address: Its head, ``host:port``.
        runtime: What travels to its nodes, as Ray's runtime environment.

    Raises:
        ClusterError: No cluster answers there, it refuses us, or its Ray is not the one here.
    """
    import logging

    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit() or int(port) > 65535:
        raise ClusterError(f"expected a cluster's address as HOST:PORT, found `{address}`")
    host = host.removeprefix("[").removesuffix("]")
    if _initialized():
        _require_same(host, int(port), address)
        return Session(None, None)
    try:
        head = greet(host, int(port), _CONNECT)
        guarded = head.refuses
        if guarded:
            head = _show_token(host, int(port), address)
    except OSError as error:
        raise ClusterError(
            f"no Ray cluster answers at {address}: {error}. Check that `ray start --head` runs "
            "there and that the port is right"
        ) from None
    if os.environ.get("RAY_AUTH_MODE") == "token" and not guarded and head.version:
        raise ClusterError(
            f"RAY_AUTH_MODE=token is set here, and the cluster at {address} asks for no token. "
            "Start it with that variable as well, or unset it here if the network is yours alone"
        )
    mode = os.environ.get("RAY_AUTH_MODE") if head.version is None else None
    before = _set(RAY_AUTH_MODE=mode or ("token" if guarded else "disabled"))
    session = Session(None, before)
    try:
        ray = _ray(loopback=False)
        _require_version(head.version, ray.__version__, address)
        try:
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env=dict(runtime),
            )
        except Exception as error:  # as above
            raise ClusterError(
                f"the Ray cluster at {address} answers, and cannot be joined: "
                f"{_first_line(error)}. `evosearch doctor --address {address}` checks its nodes"
            ) from error
    except BaseException:
        session.close()
        raise
    return session


def _show_token(host: str, port: int, address: str) -> Head:
    """Greet again with the token that Ray would use.

    Raises:
        ClusterError: There is none here, or the cluster's is another.
        OSError: Nobody answers any more.
    """
    token, place = _token()
    if token is None:
        raise ClusterError(
            f"the cluster at {address} asks for a token, and there is none here. Set "
            "RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a file with it, or copy the head's "
            "~/.ray/auth_token"
        )
    head = greet(host, port, _CONNECT, token)
    if head.refuses:
        raise ClusterError(
            f"the cluster at {address} refuses the token from {place}. Give it the cluster's: "
            "RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH, or ~/.ray/auth_token, in this order"
        )
    return head


def _token() -> tuple[str | None, str]:
    """Return the token that Ray would use, and where it comes from."""
    if value := os.environ.get("RAY_AUTH_TOKEN"):
        return value, "RAY_AUTH_TOKEN"
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    file = Path(path).expanduser() if path else Path.home() / ".ray" / "auth_token"
    try:
        return file.read_text(encoding="utf-8").strip() or None, str(file)
    except OSError:
        return None, str(file)


def _require_same(host: str, port: int, address: str) -> None:
    """Check that the cluster which this process is in is the one that was asked for."""
    import socket

    import ray

    here, _, at = ray.get_runtime_context().gcs_address.rpartition(":")
    if int(at) != port or socket.gethostbyname(here.strip("[]")) != socket.gethostbyname(host):
        raise ClusterError(
            f"this process is in the Ray cluster at {here}:{at} already, and {address} was asked "
            "for. Leave out `address`, or call ray.shutdown() first"
        )


def _require_version(there: str | None, here: str, address: str) -> None:
    if there is not None and there != here:
        raise ClusterError(
            f"the cluster at {address} runs Ray {there}, and here is Ray {here}. Both must be the "
            f"same: `pip install ray=={there}` here, or ray=={here} on every node"
        )


def _initialized() -> bool:
    """Whether this process is in a cluster, by its caller's doing."""
    return "ray" in sys.modules and bool(sys.modules["ray"].is_initialized())


def _ray(*, loopback: bool) -> Any:
    """Import Ray, and have it read the environment even where it was imported before.

    Raises:
        ClusterError: It is too old.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray
    from ray import _raylet as raylet
    from ray._private import ray_constants

    version = re.match(r"(\d+)\.(\d+)", ray.__version__)
    if version is None or (int(version[1]), int(version[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise ClusterError(
            f"expected Ray {oldest} or newer, which can keep a cluster to this machine, found "
            f"{ray.__version__}; `pip install 'ray>={oldest}'`"
        )
    compiled: Any = raylet
    compiled.Config.initialize("")
    compiled.AuthenticationTokenLoader.instance().reset_cache()
    if sys.platform.startswith("linux"):
        ray_constants.ENABLE_RAY_CLUSTER = not loopback
    return ray


def _short_folder() -> Path:
    """Return a new folder of this user's alone, where the path of a socket is short enough.

    Raises:
        ClusterError: There is no place for it.
    """
    places = dict.fromkeys(
        [os.environ.get("RAY_TMPDIR"), tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"]
    )
    for place in filter(None, places):
        if len(os.fsencode(place)) + len("/evo-01234567/r") > _SOCKET_PATH:
            continue
        with suppress(OSError):
            return Path(tempfile.mkdtemp(prefix="evo-", dir=place))
    raise ClusterError(
        f"Ray needs a folder for its sockets with a path of at most {_SOCKET_PATH} bytes that can "
        f"be written, found none among {', '.join(filter(None, places))}; set RAY_TMPDIR to one"
    )


def _set(**values: str | None) -> dict[str, str | None]:
    """Change the environment; return what to restore."""
    before = {name: os.environ.get(name) for name in values}
    _restore(values)
    return before


def _restore(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _first_line(error: Exception) -> str:
    """Return what an exception says, without the pages that Ray adds."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
