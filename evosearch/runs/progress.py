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

from evosearch.runs.candidate import Candidate
from evosearch.runs.history import History
from evosearch.runs.printable import plain
from evosearch.training.score import Score

__all__ = ["ProgressView", "duration", "score_text"]

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
    """

    def __init__(
        self, console: Console, title: str, budget: int, tasks: int, quiet: bool = False
    ) -> None:
        self._console = console
        self._title = plain(title)
        self._budget = budget
        self._tasks = tasks
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
        bar = ProgressBar(total=self._budget, completed=len(history.candidates), width=28)
        rows.add_row("evaluated", _beside(bar, self._evaluated()))
        rows.add_row("proposed", self._proposed())
        rows.add_row("best", _best(history.best()))
        rows.add_row("time", self._time())
        if history.faults or self._fault:
            last = self._fault or plain(history.faults[-1])
            count = f"{len(history.faults)}, " if history.faults else ""
            rows.add_row("faults", Text(f"{count}last: {last}", style="yellow"))
        return Group(Text(self._title, style="bold"), rows)

    def _print_line(self) -> None:
        history = self._history
        parts = [self._evaluated(), self._proposed()]
        if history.candidates:
            parts.append(f"best {_best(history.best())}")
        parts.append(self._time())
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


def _beside(bar: ProgressBar, text: str) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_row(bar, text)
    return grid


def _best(candidate: Candidate | None) -> str:
    if candidate is None:
        return "none yet"
    return f"{score_text(candidate.score, candidate.error)} against AdamW, #{candidate.id}"


def score_text(score: float | None, error: float | None) -> str:
    """Return a score with its standard error, for instance ``+0.123 ± 0.045``."""
    if score is None:
        return "none"
    return str(Score(score, error))


def duration(seconds: float) -> str:
    """Return a time like ``1:05`` or ``2:03:04``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
