"""Charts as SVG text: points in a frame with labelled axes; no script, no font, no network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

__all__ = ["ChartPoint", "chart"]

_WIDTH: Final = 640
_HEIGHT: Final = 300
_LEFT: Final = 62
_BOTTOM: Final = 44
_MARGIN: Final = 14


@dataclass(frozen=True)
class ChartPoint:
    """A value to draw."""

    x: float
    y: float
    title: str
    """What a reader sees who points at it."""
    error: float | None = None
    """Half the length of its error bar."""
    marked: bool = False
    """Whether it stands out."""
    label: str = ""
    """What is written beside it, where there is room."""


def chart(
    points: Sequence[ChartPoint],
    x_label: str,
    y_label: str,
    *,
    steps: Sequence[tuple[float, float]] = (),
    bottom: float | None = None,
) -> str:
    """Return an SVG element.

    Args:
        points: What to draw; values must be finite.
        x_label: What the horizontal axis is.
        y_label: What the vertical axis is.
        steps: Corners (x, y) of a line that moves level, then up or down.
        bottom: Points below it are drawn on the lower edge.
    """
    ys = [p.y for p in points] + [y for _, y in steps]
    xs = [p.x for p in points] + [x for x, _ in steps]
    if not xs:
        return "<p>Nothing to draw yet.</p>"
    floor = min(ys) if bottom is None else max(min(ys), bottom)
    frame = _Frame(_ticks(min(xs), max(xs)), _ticks(floor, max(*ys, floor)))
    parts = [*frame.axes(x_label, y_label)]
    for p in sorted(points, key=lambda p: p.marked):  # what stands out lies on top
        x, y = frame.x(p.x), frame.y(p.y)
        kind = "marked" if p.marked else "point"
        if p.error:
            top, low = frame.y(p.y + p.error), frame.y(p.y - p.error)
            parts.append(f'<path class="error" d="M{x:.1f} {top:.1f}V{low:.1f}"/>')
        radius = 4 if p.marked else 2.2
        parts.append(
            f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}">'
            f"<title>{escape(p.title)}</title></circle>"
        )
    parts += _labels([(p.label, frame.x(p.x), frame.y(p.y)) for p in points if p.label])
    if steps:
        (x, y), *others = steps
        path = f"M{frame.x(x):.1f} {frame.y(y):.1f}"
        path += "".join(f"H{frame.x(x):.1f}V{frame.y(y):.1f}" for x, y in others)
        parts.append(f'<path class="line" d="{path}"/>')
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(y_label)} over {escape(x_label)}">{"".join(parts)}</svg>'
    )


def _labels(labels: Sequence[tuple[str, float, float]]) -> list[str]:
    """Return labels beside their points, uppermost first, but for those that would cover others."""
    written: list[tuple[float, float]] = []
    parts = []
    for text, x, y in sorted(labels, key=lambda label: label[2]):
        width = 8.0 * len(text)
        left = x + 7 if x + 7 + width < _WIDTH else x - 7 - width
        top = max(y - 6, 10.0)
        if all(abs(left - a) >= width + 4 or abs(top - b) >= 13 for a, b in written):
            written.append((left, top))
            parts.append(f'<text class="label" x="{left:.1f}" y="{top:.1f}">{escape(text)}</text>')
    return parts


@dataclass(frozen=True)
class _Frame:
    """From values to places; the ticks span the axes."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]

    def x(self, value: float) -> float:
        share = (value - self.xs[0]) / (self.xs[-1] - self.xs[0])
        return _LEFT + share * (_WIDTH - _LEFT - _MARGIN)

    def y(self, value: float) -> float:
        share = (value - self.ys[0]) / (self.ys[-1] - self.ys[0])
        return _HEIGHT - _BOTTOM - min(max(share, 0.0), 1.0) * (_HEIGHT - _BOTTOM - _MARGIN)

    def axes(self, x_label: str, y_label: str) -> list[str]:
        low, right = _HEIGHT - _BOTTOM, _WIDTH - _MARGIN
        parts = []
        for value in self.xs:
            x = self.x(value)
            parts.append(f'<path class="grid" d="M{x:.1f} {_MARGIN}V{low}"/>')
            parts.append(f'<text x="{x:.1f}" y="{low + 16}" class="x">{value:g}</text>')
        for value in self.ys:
            y = self.y(value)
            kind = "zero" if value == 0 else "grid"
            parts.append(f'<path class="{kind}" d="M{_LEFT} {y:.1f}H{right}"/>')
            parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" class="y">{value:g}</text>')
        middle = (_LEFT + right) / 2
        parts.append(f'<text x="{middle}" y="{_HEIGHT - 6}" class="x">{escape(x_label)}</text>')
        turn = f"rotate(-90 14 {low / 2})"
        parts.append(
            f'<text x="14" y="{low / 2}" class="x" transform="{turn}">{escape(y_label)}</text>'
        )
        return parts


def _ticks(low: float, high: float) -> tuple[float, ...]:
    """Return about five round numbers from below `low` to above `high`."""
    span = high - low or max(abs(high), 1.0)
    raw = span / 4
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    if first == last:
        last += 1
    return tuple(round(i * step, 12) for i in range(first, last + 1))
