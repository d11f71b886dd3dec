"""Starting a private cluster and joining one: who listens where, and who is shown which token."""

from __future__ import annotations

import os
import re
import socket
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fake_evaluation import job_of, perform
from ray_heads import Head, ray_head

from evosearch.doctor import diagnose
from evosearch.errors import ClusterError, DataError
from evosearch.workers import heartbeat, ray_cluster, ray_session
from evosearch.workers.handshake import greet
from evosearch.workers.ray_cluster import RayExecutor

TOKEN = "a-token-of-the-tests-" + "x" * 120


@pytest.fixture
def home(tmp_path: Path, monkeypatch) -> Path:
    """A home directory with a token in it, as a local cluster of Ray's leaves one behind."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("left-behind-by-a-local-cluster")
    return tmp_path


@contextmanager
def listening(reply: bytes, times: int = 1) -> Iterator[int]:
    """Answer so many connections with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(times):
                connection, _ = server.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


SETTINGS = b"\0\0\0\4\0\0\0\0\0"


@pytest.mark.parametrize(
    "reply",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"", SETTINGS,
     SETTINGS + b"\0\0\x10\1\5\0\0\0\1@\x0bgrpc-status\x0212"],
)  # fmt: skip
def test_what_is_not_ray_is_told_from_it(reply: bytes) -> None:
    with listening(reply) as port, pytest.raises(OSError, match="not Ray"):
        greet("127.0.0.1", port, 2.0)


def test_a_head_that_refuses_and_one_that_answers() -> None:
    refusal = SETTINGS + b"\0\0\x10\1\5\0\0\0\1@\x0bgrpc-status\x0216"
    with listening(refusal) as port:
        assert greet("127.0.0.1", port, 2.0).refuses
    answer = SETTINGS + b"\0\0\x0b\0\0\0\0\0\1\0\0\0\0\x06\x12\x062.60.0"
    with listening(answer + b"\0\0\x0f\1\5\0\0\0\1@\x0bgrpc-status\x010") as port:
        head = greet("127.0.0.1", port, 2.0)
        assert (head.version, head.refuses) == ("2.60.0", False)


def evaluate_on(head: Head) -> list[str]:
    """Run one job on a cluster; return the faults."""
    executor = RayExecutor(1, head.address, perform=perform)
    try:
        executor.submit(0, job_of("sgd"))
        assert executor.collect(0) == perform(job_of("sgd"))
    finally:
        executor.close()
    return executor.faults


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("home")
def test_a_token_that_lies_around_does_not_matter_where_none_is_asked_for() -> None:
    with ray_head() as head:
        assert evaluate_on(head) == []
        assert "RAY_AUTH_MODE" not in os.environ
        (node, *others) = diagnose(address=head.address)
        assert re.fullmatch(r"node [\d.]+", node.name)
        assert node.mark == "ok"
        assert not [finding for finding in others if finding.mark == "problem"]


def refused(address: str, home: Path) -> None:
    """Check what is said where a cluster refuses the token that lies there, and where none does."""
    token = home / ".ray" / "auth_token"
    with pytest.raises(ClusterError, match=r"refuses the token from .*auth_token"):
        RayExecutor(1, address)
    token.unlink()
    with pytest.raises(ClusterError, match="asks for a token, and there is none here"):
        RayExecutor(1, address)


def test_a_cluster_that_refuses_a_token_is_told_from_one_that_asks_for_one(home: Path) -> None:
    refusal = SETTINGS + b"\0\0\x10\1\5\0\0\0\1@\x0bgrpc-status\x0216"
    with listening(refusal, times=3) as port:  # without a token, with one, without
        refused(f"127.0.0.1:{port}", home)


@pytest.mark.ray
@pytest.mark.slow  # the test above, and the one of a private cluster, which has a token
def test_a_cluster_that_asks_for_a_token_gets_the_right_one_or_says_what_is_wrong(
    home: Path, monkeypatch
) -> None:
    with ray_head(TOKEN) as head:
        refused(head.address, home)
        monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
        assert evaluate_on(head) == []
        assert "RAY_AUTH_MODE" not in os.environ


@pytest.mark.usefixtures("home")
def test_who_insists_on_tokens_is_not_sent_to_an_open_cluster(monkeypatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    answer = SETTINGS + b"\0\0\x0b\0\0\0\0\0\1\0\0\0\0\x06\x12\x062.60.0"
    with (
        listening(answer + b"\0\0\x0f\1\5\0\0\0\1@\x0bgrpc-status\x010") as port,
        pytest.raises(ClusterError, match="asks for no token"),
    ):
        RayExecutor(1, f"127.0.0.1:{port}")


@pytest.mark.usefixtures("home")
def test_another_ray_is_refused_by_its_version() -> None:
    answer = SETTINGS + b"\0\0\x0b\0\0\0\0\0\1\0\0\0\0\x06\x12\x062.40.0"
    with (
        listening(answer + b"\0\0\x0f\1\5\0\0\0\1@\x0bgrpc-status\x010") as port,
        pytest.raises(ClusterError, match=r"runs Ray 2\.40\.0, and here is Ray"),
    ):
        RayExecutor(1, f"127.0.0.1:{port}")
    assert "RAY_AUTH_MODE" not in os.environ


@pytest.mark.ray
def test_a_private_cluster_is_this_users_and_this_machines_alone(home: Path, monkeypatch) -> None:
    long = home / ("d" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    (home / ".ray" / "auth_token").unlink()
    executor = RayExecutor(1, perform=perform)
    try:
        import ray

        token = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
        assert len(str(token.parent)) <= 41
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
        assert stat.S_IMODE(token.parent.stat().st_mode) == 0o700
        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        assert host == "127.0.0.1"
        assert greet(host, int(port), 5.0).refuses
        assert not greet(host, int(port), 5.0, token.read_text()).refuses
        for other in other_addresses():
            with pytest.raises(ConnectionRefusedError):
                greet(other, int(port), 5.0)
        executor.submit(0, job_of("sgd"))
        assert executor.collect(0) == perform(job_of("sgd"))
    finally:
        executor.close()
    assert not token.parent.exists()
    assert not (home / ".ray" / "auth_token").exists()
    assert "RAY_AUTH_TOKEN_PATH" not in os.environ


def other_addresses() -> list[str]:
    """Return this machine's addresses that others see; nothing is sent to find them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))
        except OSError:
            return []
        return [probe.getsockname()[0]]


def test_without_a_short_place_for_sockets_it_says_what_to_set(monkeypatch) -> None:
    def nowhere(**_: object) -> str:
        raise PermissionError

    monkeypatch.setattr("tempfile.mkdtemp", nowhere)
    with pytest.raises(ClusterError, match="set RAY_TMPDIR"):
        ray_session.start(1)


@pytest.mark.usefixtures("home")
def test_a_ray_that_cannot_keep_to_this_machine_is_refused(monkeypatch) -> None:
    import ray

    monkeypatch.setattr(ray, "__version__", "2.54.1")
    before = dict(os.environ)
    with pytest.raises(ClusterError, match=r"expected Ray 2\.55 or newer"):
        RayExecutor(1)
    assert {k: v for k, v in os.environ.items() if k.startswith("RAY_AUTH")} == {
        k: v for k, v in before.items() if k.startswith("RAY_AUTH")
    }


@pytest.mark.usefixtures("home")
def test_a_ray_that_is_slow_is_tried_again_and_one_that_fails_is_not(monkeypatch) -> None:
    import ray

    tries: list[str] = []

    def slow(**_: object) -> None:
        tries.append("slow")
        raise RuntimeError("The current node timed out during startup.\nPages of it")

    monkeypatch.setattr(ray, "init", slow)
    with pytest.raises(ClusterError, match=r"timed out during startup\.\. Try again when"):
        RayExecutor(1)
    assert len(tries) == 3

    def broken(**_: object) -> None:
        tries.append("broken")
        raise OSError("no such thing")

    monkeypatch.setattr(ray, "init", broken)
    with pytest.raises(ClusterError, match="no such thing"):
        RayExecutor(1)
    assert tries.count("broken") == 1


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("home")
def test_a_head_that_dies_ends_the_work_with_a_sentence(monkeypatch) -> None:
    monkeypatch.setattr(heartbeat, "_EVERY", 0.2)
    with ray_head() as head:
        executor = RayExecutor(1, head.address, perform=perform)
        try:
            executor.submit(0, job_of("sgd"))
            executor.collect(0)
            head.kill(head.nodes[0])
            executor.submit(1, job_of("sgd"))
            start = time.monotonic()
            with pytest.raises(ClusterError, match="no longer answers"):
                executor.collect(1)
            assert time.monotonic() - start < 20
        finally:
            start = time.monotonic()
            executor.close()
        assert time.monotonic() - start < 20


def failing() -> None:
    raise DataError("no such file on this node")


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("home")
def test_workers_that_fail_to_start_are_told_at_once_and_end_the_work_soon(monkeypatch) -> None:
    """In the Ray that this process has; whoever started it goes on with it."""
    from ray import cloudpickle

    monkeypatch.setattr(ray_cluster, "_FAILING", 5.0)
    session = ray_session.start(1)
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    told: list[str] = []
    try:
        doomed = RayExecutor(1, perform=perform, prepare=failing)
        doomed.on_fault = told.append
        doomed.submit(0, job_of("sgd"))
        with pytest.raises(ClusterError, match=r"no worker could be started, \d+ failed") as caught:
            doomed.collect(0)
        doomed.close()
        assert told == doomed.faults
        assert len(told) >= 2
        assert told[0].startswith("a worker did not start: DataError on 127.0.0.1: no such file")
        assert "no such file on this node" in str(caught.value)

        with pytest.raises(ClusterError, match=r"is in the Ray cluster at .* already"):
            RayExecutor(1, "127.0.0.1:1")
        sound = RayExecutor(1, perform=perform)
        sound.submit(0, job_of("sgd"))
        assert sound.collect(0) == perform(job_of("sgd"))
        sound.close()
        assert sys.modules["ray"].is_initialized()
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
        session.close()


def test_an_address_that_nobody_answers_at() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    start = time.monotonic()
    with pytest.raises(ClusterError) as caught:
        RayExecutor(1, f"127.0.0.1:{port}")
    assert time.monotonic() - start < 5.0
    assert f"no Ray cluster answers at 127.0.0.1:{port}" in str(caught.value)
    assert "ray start --head" in str(caught.value)


def test_an_address_where_something_silent_listens(monkeypatch) -> None:
    monkeypatch.setattr(ray_session, "_CONNECT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ClusterError, match="no Ray cluster answers"):
            RayExecutor(1, f"127.0.0.1:{port}")


@pytest.mark.parametrize("address", ["", "auto", "ray://host:1", "host", "host:", ":80", "h:99999"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ClusterError, match="as HOST:PORT, found"):
        RayExecutor(1, address)
