"""The progress of a search: a live view on a terminal, plain lines elsewhere; both on stderr."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from evosearch.cli.front_view import FrontView
from evosearch.runs.candidate import Candidate
from evosearch.runs.history import History
from evosearch.runs.printable import plain
from evosearch.runs.progress import duration, score_text

__all__ = ["ProgressView"]

_INTERVAL: Final = 5.0
"""Seconds between plain lines."""


class ProgressView:
    """Shows a search while it runs.

    Args:
        console: Where to, stderr's; on a terminal the view is updated in place.
        title: What runs, in a line.
        budget: Evaluations that the search will make.
        tasks: How many tasks' baselines it tunes first.
        quiet: Show nothing.
        workers: How many processes evaluate.
    """

    def __init__(
        self,
        console: Console,
        title: str,
        budget: int,
        tasks: int,
        *,
        quiet: bool = False,
        workers: int = 1,
    ) -> None:
        self._console = console
        self._title = plain(title)
        self._budget = budget
        self._tasks = tasks
        self._workers = workers
        self._front: RenderableType = ""
        self._front_due = 0.0
        self._history = History()
        self._fault = ""
        self._start = time.monotonic()
        self._resumed_at: int | None = None
        self._first_commit = self._start
        self._next_line = 0.0
        shown = not quiet and console.is_terminal
        self._live = Live(self, console=console, refresh_per_second=4) if shown else None
        self._plain = not quiet and self._live is None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        elif self._plain:
            self._console.print(self._title, markup=False, highlight=False, soft_wrap=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()
        elif self._plain:
            self._print_line()

    def observe(self, history: History) -> None:
        """Take in the state after a record."""
        self._history = history
        done = len(history.candidates)
        if self._resumed_at is None or (not self._resumed_at and not done):
            self._resumed_at, self._first_commit = done, time.monotonic()
        if self._plain and time.monotonic() >= self._next_line:
            self._print_line()

    def fault(self, text: str) -> None:
        """Show what went wrong with the machinery, at once; the search goes on if it can."""
        self._fault = text = plain(text)
        if self._plain:
            self._console.print(f"Fault: {text}", markup=False, highlight=False, soft_wrap=True)

    def __rich__(self) -> RenderableType:
        """Render the live view."""
        history = self._history
        rows = Table.grid(padding=(0, 2))
        rows.add_row(
            "", ProgressBar(total=self._budget, completed=len(history.candidates), width=30)
        )
        rows.add_row("evaluated", self._evaluated())
        rows.add_row("proposed", self._proposed())
        rows.add_row("best", _best(history.best()))
        rows.add_row("speed", self._speed())
        rows.add_row("time", self._time())
        if history.faults or self._fault:
            last = self._fault or plain(history.faults[-1])
            count = f"{len(history.faults)}, " if history.faults else ""
            rows.add_row("faults", Text(f"{count}last: {last}", style="yellow"))
        return Group(Text(self._title, style="bold"), rows, self._front_view())

    def _front_view(self) -> RenderableType:
        """Return the front, made anew no oftener than costs a twentieth of the time."""
        start = time.monotonic()
        if start >= self._front_due and self._history.candidates:
            from evosearch.runs.front import Scored  # numpy, which `--help` does without

            scored = Scored.of(self._history).whole()
            ids = [int(scored.ids[at]) for at in scored.front()[::-1]]
            self._front = FrontView([self._history.candidates[id_] for id_ in ids])
            end = time.monotonic()
            self._front_due = end + 20 * (end - start)
        return self._front

    def _print_line(self) -> None:
        history = self._history
        parts = [self._evaluated(), self._proposed()]
        if history.candidates:
            parts.append(f"best {_best(history.best())}")
        parts += [self._speed(), self._time()] if history.candidates else [self._time()]
        text = "; ".join(parts)
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
        self._next_line = time.monotonic() + _INTERVAL

    def _evaluated(self) -> str:
        history = self._history
        if not history.candidates:
            return f"tuning AdamW: {len(history.baselines)} of {self._tasks} tasks done"
        text = f"{len(history.candidates)} of {self._budget} candidates"
        again = history.confirmations
        return f"{text}, {again} re-evaluated" if again else text

    def _proposed(self) -> str:
        rate = self._history.hit_rate
        cached = "" if rate is None else f", {rate:.0%} cache hits"
        return f"{self._history.proposals:,} proposals{cached}"

    def _speed(self) -> str:
        by = f"{self._workers} worker{'s' if self._workers > 1 else ''}"
        new = len(self._history.candidates) - (self._resumed_at or 0)
        passed = time.monotonic() - self._first_commit
        return f"{60 * new / passed:.1f} candidates a minute, {by}" if new > 0 < passed else by

    def _time(self) -> str:
        now = time.monotonic()
        passed = f"{duration(now - self._start)} passed"
        done = len(self._history.candidates)
        new = done - (self._resumed_at or 0)
        if done >= self._budget and not self._history.finished:
            return f"{passed}, confirming the best"
        if new <= 0 or self._history.finished:
            return passed
        left = (now - self._first_commit) * (self._budget - done) / new
        return f"{passed}, about {duration(left)} left"


def _best(candidate: Candidate | None) -> str:
    if candidate is None:
        return "none yet"
    return f"{score_text(candidate.score, candidate.error)} against AdamW, #{candidate.id}"
