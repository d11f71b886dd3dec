"""A front on a terminal: the best of each size, each score drawn beside AdamW's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from evosearch.runs.candidate import Candidate
from evosearch.runs.progress import score_text

__all__ = ["FrontView"]

_ROWS: Final = 8
_LEAST: Final = 12
"""Columns below which scores are not drawn."""
_MOST: Final = 41
_WORDS: Final = 46
"""Columns that the rest of a row takes, about."""
_LOWEST: Final = -1.0
"""Worse scores are drawn at the edge."""


class FrontView:
    """A table of a front, as wide as there is room.

    Args:
        front: Its candidates, best and largest first.
    """

    def __init__(self, front: Sequence[Candidate]) -> None:
        self._front = [c for c in front if c.score is not None]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table; nothing for an empty front."""
        if not self._front:
            return
        shown = self._front[:_ROWS]
        names = [c.recognized.title if c.recognized else "" for c in shown]
        width = options.max_width - _WORDS - max(map(len, names))
        drawn = min(width, _MOST) >= _LEAST
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        table.add_column("id", justify="right")
        table.add_column(
            "statements" if drawn else "size", justify="right", no_wrap=True, min_width=4
        )
        table.add_column("score ± se", justify="right", no_wrap=True)
        if drawn:
            table.add_column("against AdamW (|)", no_wrap=True)
        table.add_column("", overflow="ellipsis", no_wrap=True)
        scale = _Scale(shown, min(width, _MOST))
        for c, name in zip(shown, names, strict=True):
            strip = [scale.strip(c)] if drawn else []
            cells = (f"#{c.id}", str(c.statements), score_text(c.score, c.error))
            table.add_row(*cells, *strip, Text(name, style="cyan"))
        left = len(self._front) - len(shown)
        more = f", {left} smaller ones are not shown" if left else ""
        yield Text(f"\nThe best of each size or smaller{more}", style="bold")
        yield table


class _Scale:
    """From scores to columns."""

    def __init__(self, front: Sequence[Candidate], width: int) -> None:
        ends = [(c.score or 0.0) + side * (c.error or 0.0) for c in front for side in (-1, 1)]
        self._low = max(min(0.0, *ends), _LOWEST)
        self._high = max(0.0, *ends, self._low + 1e-9)
        self._width = width

    def strip(self, c: Candidate) -> Text:
        """Return a line with the score, one standard error to each side, and AdamW's place."""
        score, error = c.score or 0.0, c.error or 0.0
        marks = [" "] * self._width
        for at in range(self._at(score - error), self._at(score + error) + 1):
            marks[at] = "-"
        marks[self._at(0.0)] = "|"
        marks[self._at(score)] = "o"
        text = Text("".join(marks))
        style = "green" if score > 0 else "yellow"
        text.stylize(style, self._at(score - error), self._at(score + error) + 1)
        text.stylize("dim", self._at(0.0), self._at(0.0) + (self._at(0.0) != self._at(score)))
        return text

    def _at(self, score: float) -> int:
        share = (score - self._low) / (self._high - self._low)
        return round(min(max(share, 0.0), 1.0) * (self._width - 1))
