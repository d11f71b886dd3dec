"""Jobs in a process of their own on this machine: what they do to it does not reach the search.

One worker, without Ray. Its process may hang, crash, exit or run out of memory: it is ended and
started anew, and `retry` says what has to be done again, as on a cluster. The process ends when
this one does. It costs its start, some seconds beside the search's own preparations, and its share
of memory.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe
from typing import Any, Final

from evosearch.errors import ClusterError
from evosearch.training.job import Status
from evosearch.workers.executor import AnyJob, Timed, perform
from evosearch.workers.retry import Piece, Pieces
from evosearch.workers.serve import Raised

__all__ = ["ChildExecutor", "call_apart"]

_PROGRAM: Final = "from evosearch.workers.serve import serve; serve"
_START: Final = 120.0
"""Seconds that a process may take to start, after which this machine cannot do the work."""
_STARTS: Final = 3
"""Starts in a row that may fail."""


class ChildExecutor:
    """Runs jobs, one at a time, in a process of its own.

    Args:
        deadline: seconds a job may take before its process is ended.
        perform: what the process does with a job.
        prepare: what it does before it takes one.
    """

    workers = 1

    def __init__(
        self,
        deadline: float = 600.0,
        *,
        perform: Callable[[AnyJob], Timed] = perform,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self.faults: list[str] = []
        self.on_fault: Callable[[str], None] = lambda _: None
        self._deadline = deadline
        self._pieces = Pieces()
        self._queue: deque[Piece] = deque()
        self._begin = perform, prepare
        self._child: _ChildProcess | None = _ChildProcess(self._begin)
        self._failures = 0

    def submit(self, number: int, job: AnyJob) -> None:
        """Accept a job."""
        self._queue.append(self._pieces.open(number, job))

    def ready(self, number: int) -> bool:
        """Return False: a job runs when it is collected."""
        del number
        return False

    def collect(self, number: int) -> Timed:
        """Run jobs until this one is done.

        Raises:
            ClusterError: The process cannot be started.
        """
        while not self._pieces.complete(number):
            self._queue = deque(
                sorted(self._queue, key=lambda piece: piece.number != number)
            )  # what is asked for comes first
            self._run(self._queue.popleft())
        return self._pieces.take(number)

    def close(self) -> None:
        """End the process and forget the jobs that were not asked for."""
        self._queue.clear()
        if self._child is not None:
            self._child.end()
            self._child = None

    def _run(self, piece: Piece) -> None:
        child = self._ready_child()
        limit = self._deadline * piece.share
        child.send(piece.job)
        try:
            result = child.receive(limit)
        except TimeoutError:
            self._lose(piece, Status.TIMEOUT, f"no result in {limit:g} s")
        except EOFError:
            self._lose(piece, Status.CRASHED, f"its process {child.ending()}")
        else:
            self._pieces.land(piece, result)

    def _lose(self, piece: Piece, status: Status, message: str) -> None:
        """End the process and see to what it was doing."""
        if self._child is not None:
            self._child.end()
            self._child = None
        self._note(f"job {piece.number}, attempt {piece.attempt}: {message}")
        self._queue.extendleft(reversed(self._pieces.fault(piece, status, message)))

    def _ready_child(self) -> _ChildProcess:
        """Return a process that has started.

        Raises:
            ClusterError: None can be had.
        """
        while True:
            child = self._child = self._child or _ChildProcess(self._begin)
            try:
                if not child.started:
                    child.receive(_START)
                    child.started = True
                self._failures = 0
                return child
            except (TimeoutError, EOFError) as error:
                ending = "did not start in time" if isinstance(error, TimeoutError) else ""
                ending = ending or child.ending()
                child.end()
                self._child = None
                self._failures += 1
                self._note(f"a worker did not start: its process {ending}")
                if self._failures >= _STARTS:
                    raise ClusterError(
                        f"no worker could be started on this machine: its process {ending}, "
                        f"{_STARTS} times. `evosearch doctor` may say why"
                    ) from None

    def _note(self, fault: str) -> None:
        self.faults.append(fault)
        self.on_fault(fault)


class _ChildProcess:
    """A process that serves calls through a pipe which nobody else has."""

    def __init__(self, begin: tuple[Any, Any]) -> None:
        self.started = False
        self._pipe, end = Pipe()
        paths = [path or os.getcwd() for path in sys.path]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
        with end:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", f"{_PROGRAM}({end.fileno()})"],
                pass_fds=(end.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=2,  # results alone go to stdout, and they are printed by this process
                env=environment,
                start_new_session=True,  # Ctrl-C is for the search; what it starts ends with it
            )
        self.send(begin)

    def send(self, value: Any) -> None:
        """Give it something; what it has ended with shows when an answer is expected."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._pipe.send(value)

    def receive(self, timeout: float) -> Any:
        """Return the next answer.

        Raises:
            TimeoutError: None came.
            EOFError: The process has ended.
            Exception: What it raised.
        """
        end = time.monotonic() + timeout
        while not self._pipe.poll(max(0.0, min(1.0, end - time.monotonic()))):
            if time.monotonic() >= end:
                raise TimeoutError
        try:
            answer = self._pipe.recv()
        except ConnectionResetError:
            raise EOFError from None
        if isinstance(answer, Raised):
            raise answer.error
        return answer

    def ending(self) -> str:
        """Return how it ended, in words."""
        try:
            code = self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            return "closed its pipe"
        if code >= 0:
            return f"ended with exit code {code}"
        name = signal.Signals(-code).name
        hint = ", as where memory is short" if -code == signal.SIGKILL else ""
        return f"was ended by {name}{hint}"

    def end(self) -> None:
        """End it, and what it started, whatever it does."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._pipe.close()


def call_apart(function: Callable[[], Any], timeout: float) -> Any:
    """Call a function in a process of its own and return what it returns.

    Args:
        function: To be found by its module and name, perhaps with arguments (`functools.partial`).
        timeout: Seconds that it may take.

    Raises:
        TimeoutError: It took longer.
        ChildProcessError: It ended its process; the text says how.
        Exception: What it raised.
    """
    child = _ChildProcess((None, function))
    try:
        return child.receive(timeout)
    except EOFError:
        raise ChildProcessError(child.ending()) from None
    finally:
        child.end()
