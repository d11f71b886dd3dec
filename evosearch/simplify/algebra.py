"""sympy, in a process of its own: it may take forever, and then it is killed.

An expression goes over as nested lists, ``["add", "x0", ["mul", "x1", 2.0]]``, and comes back the
same way; no text is ever parsed as an expression. Leaves are anonymous, with what is known of their
sign. What comes back is a suggestion: sympy's quotients are undefined at 0 where the ops are 0, so
the probes decide.
"""

from __future__ import annotations

import atexit
import json
import selectors
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from types import TracebackType
from typing import Final, Self

__all__ = ["Algebra", "Tree", "shared"]

Tree = str | float | list["Tree"]
"""A leaf's name, a number, or an op's name followed by its arguments."""

_START: Final = 60.0
"""Seconds that importing sympy may take on a busy machine."""
_WORKER: Final = "evosearch.simplify.sympy_worker"


class Algebra:
    """A sympy process that is started when it is first asked, and again after it was killed.

    Args:
        deadline: seconds that one question may take; with 0 none is asked.
    """

    def __init__(self, deadline: float = 1.0) -> None:
        self.deadline = deadline
        self.timeouts = 0
        """Questions that were given up."""
        self._process: subprocess.Popen[bytes] | None = None
        self._known: dict[str, list[Tree]] = {}

    def suggest(self, tree: Tree, leaves: Mapping[str, str]) -> list[Tree]:
        """Return other forms of an expression; none if sympy finds none in time.

        Args:
            tree: the expression, over ops that are elementwise.
            leaves: the sign of each leaf: "positive", "nonnegative" or "real".
        """
        if not self.deadline:
            return []
        question = json.dumps([tree, dict(leaves)])
        if question not in self._known:
            self._known[question] = self._ask(question)
        return self._known[question]

    def _ask(self, question: str) -> list[Tree]:
        try:
            process = self._started()
            assert process.stdin is not None
            process.stdin.write(question.encode() + b"\n")
            process.stdin.flush()
        except OSError:
            self.close()
            return []
        answer = self._line(process, self.deadline)
        if answer is None:
            self.timeouts += 1
            self.close()
            return []
        return json.loads(answer)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(
                [sys.executable, "-m", _WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
            if self._line(self._process, _START) is None:
                self.close()
                raise OSError("sympy did not start")
        return self._process

    @staticmethod
    def _line(process: subprocess.Popen[bytes], seconds: float) -> bytes | None:
        """Return the next line of the answer, or None where it does not come in time."""
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                return None
        return process.stdout.readline() or None

    def close(self) -> None:
        """Kill the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@cache
def shared() -> Algebra:
    """Return this process's own sympy process."""
    algebra = Algebra()
    atexit.register(algebra.close)
    return algebra
