"""One writer for a run directory: a lock file that says who that is.

The lock is the operating system's (`flock`), so it ends with its process, however that dies. The
file's content names the holder: it makes the refusal readable, and it is what is left to decide by
where the system's lock means nothing, such as a network file system mounted without locks.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from evosearch.errors import RunInUse
from evosearch.storage.atomic_write import write_all

try:
    import fcntl
except ImportError:  # Windows: the file's content alone decides
    fcntl = None

__all__ = ["Holder", "Lock"]

_UNSUPPORTED = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


@dataclass(frozen=True)
class Holder:
    """A process, told apart from later ones that get the same number."""

    host: str
    pid: int
    boot: str
    """The kernel's boot id, the same in all its containers; empty where there is none."""
    started: str
    """When the process started, in the kernel's ticks since boot; empty where unknown."""
    since: str
    """When it took the lock, UTC, for people."""

    @classmethod
    def current(cls) -> Holder:
        """This process, now."""
        pid = os.getpid()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(socket.gethostname(), pid, _boot_id(), _start_time(pid), now)

    @classmethod
    def read(cls, path: Path) -> Holder | None:
        """The holder a lock file names; None if it names none."""
        try:
            content = json.loads(path.read_bytes() or b"null")
        except (OSError, ValueError, RecursionError):
            return None  # cut short by a crash, or foreign: it names nobody
        kinds = {"host": str, "pid": int, "boot": str, "started": str, "since": str}
        if not isinstance(content, dict) or not all(
            isinstance(content.get(name), kind) for name, kind in kinds.items()
        ):
            return None
        return cls(**{name: content[name] for name in kinds})

    @property
    def same_machine(self) -> bool:
        """Whether its process numbers are this machine's, or were before a reboot."""
        return self.host == socket.gethostname() or (self.boot != "" and self.boot == _boot_id())

    @property
    def alive(self) -> bool:
        """Whether the process still runs. Means something only for a process of this machine."""
        if self.boot != _boot_id():
            return False  # the machine was restarted since
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except (PermissionError, OverflowError):
            pass
        return not self.started or _start_time(self.pid) in ("", self.started)

    def __str__(self) -> str:
        return f"process {self.pid} on host {self.host} (since {self.since})"


class Lock:
    """The lock of a run directory, held from construction to `release`.

    Attributes:
        notice: What was found and done if an earlier holder died without releasing it, else "".
    """

    def __init__(self, path: Path) -> None:
        """Take the lock.

        Raises:
            RunInUse: Somebody else holds it, or may hold it for all that can be seen from here.
            OSError: The lock file cannot be written.
        """
        self.path = path
        self.notice = ""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            self._take()
        except BaseException:
            os.close(self._descriptor)
            self._descriptor = -1
            raise

    def _take(self) -> None:
        exclusive = self._try_system_lock()
        previous = Holder.read(self.path)
        if previous is not None:
            if not previous.same_machine:
                raise RunInUse(
                    f"{self.path.parent} was last written by {previous}, which did not release it "
                    "and cannot be asked from here. If that process has ended, delete "
                    f"{self.path} and try again."
                )
            if not exclusive and previous.alive:
                raise self._in_use(previous)
            self.notice = f"took over the lock of {previous}, which ended without releasing it"
        self._write(json.dumps(asdict(Holder.current())).encode())

    def _try_system_lock(self) -> bool:
        """Take the system's lock; return False where there is no such thing."""
        if fcntl is None:
            return False
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                return False
            if isinstance(error, BlockingIOError | PermissionError):
                raise self._in_use(Holder.read(self.path)) from None
            raise
        return True

    def _in_use(self, holder: Holder | None) -> RunInUse:
        who = str(holder) if holder else "another process"
        if holder and holder.same_machine and not holder.alive:
            who = f"a process started by {holder}, which has ended itself,"
        return RunInUse(
            f"{self.path.parent} is being written by {who}, and a run has one writer at a time. "
            "Wait for it to end or stop it; `evosearch status` and `top` only read and work "
            "meanwhile."
        )

    def _write(self, content: bytes) -> None:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.ftruncate(self._descriptor, 0)
        write_all(self._descriptor, content)
        os.fsync(self._descriptor)

    @property
    def held(self) -> bool:
        """Whether the lock file is still the one that was locked: somebody may have deleted it."""
        if self._descriptor < 0:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.stat(self.path))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Give the lock back. Releasing twice does nothing.

        The file stays, empty: deleting it would let two processes lock two files of one name.
        """
        if self._descriptor < 0:
            return
        with contextlib.suppress(OSError):  # a full disk must not keep the lock
            os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
        self._descriptor = -1


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _start_time(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]  # field 22; the name before it may hold anything
