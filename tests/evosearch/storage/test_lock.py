"""A run has one writer, the second one learns who it is, and a dead one is in nobody's way."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from evosearch.errors import RunInUse
from evosearch.storage import lock as lock_module
from evosearch.storage.lock import Holder, Lock

ROOT = Path(__file__).parents[3]

HOLD = """
import sys, pathlib
from evosearch.storage.lock import Lock
lock = Lock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


def hold(path):
    """Start a process that holds the lock until its input ends."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, path],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def finish(child):
    child.stdin.close()
    child.stdout.close()
    child.wait()


def forge(path, **changes):
    """Write a lock file as a process left it that was much like this one."""
    path.write_text(json.dumps(asdict(replace(Holder.current(), **changes))))


@pytest.fixture
def no_system_lock(monkeypatch):
    """A file system without locks, as some network mounts are."""

    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock_module.fcntl, "flock", flock)


def test_the_holder_is_named_to_the_second_process(path):
    child = hold(path)
    with pytest.raises(RunInUse) as refused:
        Lock(path)
    assert f"process {child.pid} on host {Holder.current().host}" in str(refused.value)
    holder = Holder.read(path)
    assert holder is not None
    assert holder.pid == child.pid
    finish(child)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_the_lock_of_a_killed_process_is_taken_over_with_notice(path):
    child = hold(path)
    child.kill()
    finish(child)
    lock = Lock(path)
    assert f"took over the lock of process {child.pid}" in lock.notice
    lock.release()
    assert Lock(path).notice == ""


def test_a_release_leaves_an_empty_file_and_no_notice(path):
    lock = Lock(path)
    assert lock.held
    lock.release()
    lock.release()
    assert not lock.held
    assert path.read_bytes() == b""
    assert Lock(path).notice == ""


def test_of_many_threads_one_gets_the_lock(path):
    barrier, got, refused = threading.Barrier(8), [], []

    def attempt():
        barrier.wait()
        try:
            got.append(Lock(path))
        except RunInUse as error:
            refused.append(error)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 7)


def test_a_lock_of_another_machine_is_respected(path):
    forge(path, host="elsewhere", boot="other-boot")
    before = path.read_bytes()
    with pytest.raises(RunInUse, match=f"on host elsewhere.* delete {path}"):
        Lock(path)
    assert path.read_bytes() == before
    path.unlink()
    Lock(path).release()


def test_a_lock_from_before_a_restart_of_this_machine_is_taken_over(path):
    forge(path, boot="before-the-restart")
    assert "took over" in Lock(path).notice


def test_a_lock_of_another_container_on_this_kernel_is_decided_by_the_system(path):
    forge(path, host="other-container")
    if Holder.current().boot:
        assert "took over" in Lock(path).notice
    else:
        with pytest.raises(RunInUse):
            Lock(path)


@pytest.mark.parametrize(
    "content", [b"\x80\x04.", b"[", b"null", b"[1]", b'{"pid": 3}', b'{"host":', b"[" * 100_000]
)
def test_a_file_that_names_nobody_does_not_stop_anyone(path, content):
    path.write_bytes(content)
    lock = Lock(path)
    assert lock.notice == ""
    holder = Holder.read(path)
    assert holder is not None
    assert holder == replace(Holder.current(), since=holder.since)
    lock.release()


@pytest.mark.usefixtures("no_system_lock")
class TestWithoutSystemLocks:
    def test_a_live_process_is_respected(self, path):
        forge(path)
        with pytest.raises(RunInUse, match=f"process {os.getpid()} "):
            Lock(path)

    def test_a_dead_process_is_not(self, path):
        child = subprocess.Popen([sys.executable, "-c", ""])
        child.wait()
        forge(path, pid=child.pid)
        assert f"process {child.pid}" in Lock(path).notice

    @pytest.mark.skipif(not Holder.current().started, reason="needs /proc")
    def test_another_process_with_the_same_number_is_told_apart(self, path):
        forge(path, started="1")
        assert "took over" in Lock(path).notice

    def test_another_machine_is_respected(self, path):
        forge(path, host="elsewhere", boot="other-boot")
        with pytest.raises(RunInUse, match="cannot be asked from here"):
            Lock(path)


def test_other_failures_of_the_system_are_not_hidden(path, monkeypatch):
    def flock(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(lock_module.fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output"):
        Lock(path)
