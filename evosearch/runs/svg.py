"""Charts as SVG text: marks and lines in a frame with labelled axes; no font, no network.

They take their colours from the page (`evosearch.runs.html`), so they follow light, dark and print,
and they are complete without a script; with one, what is pointed at is named and can be picked.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final

__all__ = ["ChartAxis", "ChartLine", "ChartPoint", "chart", "intervals", "tree"]

_WIDTH: Final = 560
_HEIGHT: Final = 320
_TREE: Final = 300
"""The height of a tree."""
_LEFT: Final = 62
_BOTTOM: Final = 50
_MARGIN: Final = 14
_LEGEND: Final = 20
_LETTER: Final = 8.5
"""The width of a letter of a label, about."""
_NAME: Final = 24
"""Letters of a row's name; of a longer one the end is shown, where most names differ."""
_EMPTY: Final = '<p class="note">Nothing to draw yet.</p>'


@dataclass(frozen=True)
class ChartPoint:
    """A value to draw."""

    x: float
    y: float
    title: str
    """What a reader sees who points at it."""
    error: float | None = None
    """Half the length of its error bar."""
    kind: str = "point"
    """Its class: "above", "once" and "front" stand out from "point", "best" most."""
    label: str = ""
    """What is written beside it, where there is room."""
    key: int | None = None
    """The candidate that it stands for."""


@dataclass(frozen=True)
class ChartLine:
    """Values that a line goes through, from left to right."""

    points: Sequence[tuple[float, float]]
    name: str = ""
    """What the legend calls it; it has no entry without."""
    kind: str = "c1"
    """Its class: "c1" to "c5" are colours, "faint" is for what lies behind."""
    steps: bool = False
    """Whether it moves level, then up or down."""
    band: Sequence[tuple[float, float, float]] = field(default=())
    """An area behind it: x, lower and upper edge."""


@dataclass(frozen=True)
class ChartAxis:
    """One direction of a chart."""

    label: str
    log: bool = False
    """Whether equal factors have equal lengths; values must be positive."""
    low: float | None = None
    """Values below it are drawn at the edge."""
    high: float | None = None
    """Values above it are drawn at the edge."""
    level: float | None = None
    """A value that is marked by a line across; the axis reaches to it."""


def chart(
    x: ChartAxis, y: ChartAxis, points: Sequence[ChartPoint] = (), lines: Sequence[ChartLine] = ()
) -> str:
    """Return an SVG element; values must be finite.

    Args:
        x: The horizontal direction.
        y: The vertical one.
        points: What to draw; those that stand out lie on top.
        lines: Lines below them.
    """
    xs = [p.x for p in points] + [a for line in lines for a, _ in line.points]
    ys = [p.y for p in points] + [b for line in lines for _, b in line.points]
    ys += [edge for line in lines for _, *edges in line.band for edge in edges]
    if not xs:
        return _EMPTY
    xs += [] if x.level is None else [x.level]
    ys += [] if y.level is None else [y.level]
    named = [line for line in lines if line.name]
    legend = _legend_rows(named)
    frame = _Frame(_scale(x, xs), _scale(y, ys), _MARGIN + _LEGEND * len(legend))
    parts = [*frame.axes(x, y), *(_line(frame, line) for line in lines)]
    parts += [_point(frame, p) for p in _by_prominence(points)]
    parts += _labels([(p.label, frame.x(p.x), frame.y(p.y)) for p in points if p.label])
    parts += _legend(legend)
    return _svg(f"{y.label} over {x.label}", _HEIGHT, parts)


def intervals(label: str, rows: Iterable[tuple[str, Sequence[ChartPoint]]]) -> str:
    """Return an SVG element of values with error bars, a row for each name; 0 is marked.

    Args:
        label: What the values are.
        rows: Names with their values, of which only `x` counts; the error is that of `x`.
    """
    drawn = [(name, points) for name, points in rows if points]
    ends = [p.x + side * (p.error or 0.0) for _, ps in drawn for p in ps for side in (-2, 2)]
    if not ends:
        return _EMPTY
    left = 16 + min(_NAME, max(len(name) for name, _ in drawn)) * _LETTER
    scale = _scale(ChartAxis(label), [*ends, 0.0])
    height = 30 * len(drawn) + _MARGIN + _BOTTOM
    frame = _Frame(scale, scale, _MARGIN, left, height)
    parts = [*frame.axes_below(label)]
    for number, (name, points) in enumerate(drawn):
        middle = _MARGIN + 30 * number + 15
        short = name if len(name) <= _NAME else f"\N{HORIZONTAL ELLIPSIS}{name[1 - _NAME :]}"
        title = f"<title>{escape(name)}</title>" if short != name else ""
        parts.append(
            f'<text class="y" x="{left - 8:.0f}" y="{middle + 4}">{escape(short)}{title}</text>'
        )
        for place, p in enumerate(points):
            y = middle + 9 * (place - (len(points) - 1) / 2)
            if p.error:
                a, b = frame.x(p.x - 2 * p.error), frame.x(p.x + 2 * p.error)
                parts.append(f'<path class="bar {p.kind}" d="M{a:.1f} {y:.1f}H{b:.1f}"/>')
            parts.append(_circle(frame.x(p.x), y, p))
    return _svg(label, height, parts)


def tree(
    x: ChartAxis,
    points: Sequence[ChartPoint],
    parents: Sequence[int],
    strong: Collection[int] = frozenset(),
) -> str:
    """Return an SVG element of descent: a branch leaves its parent's row and goes right to a child.

    Args:
        x: The horizontal direction.
        points: The tree's members; `y` is a row, counted from the top.
        parents: Of each the position of its parent, -1 for none.
        strong: Positions of those to whom the branch stands out.
    """
    if not points:
        return _EMPTY
    rows = 1.0 + max(p.y for p in points)
    scale = _scale(x, [p.x for p in points])
    frame = _Frame(scale, _Scale((rows, -1.0)), _MARGIN, 2 * _MARGIN, _TREE)
    branches: dict[bool, list[str]] = {False: [], True: []}
    for at, parent in enumerate(parents):
        if parent >= 0:
            a, b, p = frame.x(points[parent].x), frame.y(points[parent].y), points[at]
            step = f"M{a:.1f} {b:.1f}V{frame.y(p.y):.1f}H{frame.x(p.x):.1f}"
            branches[at in strong].append(step)
    parts = [*frame.axes_below(x.label, None)]
    parts += [
        f'<path class="line {kind}" d="{"".join(branches[stands])}"/>'
        for stands, kind in ((False, "branch"), (True, "c1"))
        if branches[stands]
    ]
    parts += [_circle(frame.x(p.x), frame.y(p.y), p) for p in _by_prominence(points)]
    parts += _labels([(p.label, frame.x(p.x), frame.y(p.y)) for p in points if p.label])
    return _svg(f"descent over {x.label}", _TREE, parts, "chart tree")


def _by_prominence(points: Iterable[ChartPoint]) -> list[ChartPoint]:
    order = {"point": 0, "above": 1, "once": 2, "front": 3, "best": 4}
    return sorted(points, key=lambda p: order[p.kind])


def _svg(label: str, height: float, parts: Iterable[str], kind: str = "chart") -> str:
    return (
        f'<svg class="{kind}" viewBox="0 0 {_WIDTH} {height:g}" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def _point(frame: _Frame, p: ChartPoint) -> str:
    x, y = frame.x(p.x), frame.y(p.y)
    bar = ""
    if p.error:
        top, low = frame.y(p.y + p.error), frame.y(p.y - p.error)
        bar = f'<path class="bar {p.kind}" d="M{x:.1f} {top:.1f}V{low:.1f}"/>'
    return bar + _circle(x, y, p)


def _circle(x: float, y: float, p: ChartPoint) -> str:
    key = "" if p.key is None else f' data-id="{p.key}"'
    radius = {"best": 6.5, "front": 4.5, "once": 4.5}.get(p.kind, 2.5)
    return (
        f'<circle class="{p.kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"{key}>'
        f"<title>{escape(p.title)}</title></circle>"
    )


def _line(frame: _Frame, line: ChartLine) -> str:
    if not line.points:
        return ""
    places = [(frame.x(a), frame.y(b)) for a, b in line.points]
    (x, y), *others = places
    path = f"M{x:.1f} {y:.1f}"
    path += "".join(f"H{x:.1f}V{y:.1f}" if line.steps else f"L{x:.1f} {y:.1f}" for x, y in others)
    area = ""
    if line.band:
        low = [f"{frame.x(a):.1f} {frame.y(b):.1f}" for a, b, _ in line.band]
        high = [f"{frame.x(a):.1f} {frame.y(c):.1f}" for a, _, c in reversed(line.band)]
        area = f'<path class="band {line.kind}" d="M{"L".join([*low, *high])}Z"/>'
    title = f"<title>{escape(line.name)}</title>" if line.name else ""
    return f'{area}<path class="line {line.kind}" d="{path}">{title}</path>'


def _legend_rows(lines: Sequence[ChartLine]) -> list[list[tuple[float, ChartLine]]]:
    """Return the rows of a legend: where each line's entry begins."""
    rows: list[list[tuple[float, ChartLine]]] = []
    at = math.inf
    for line in lines:
        width = 42 + _LETTER * len(line.name)
        if at + width > _WIDTH:
            at = float(_LEFT)
            rows.append([])
        rows[-1].append((at, line))
        at += width
    return rows


def _legend(rows: Sequence[Sequence[tuple[float, ChartLine]]]) -> Iterable[str]:
    """Yield the names of lines above the frame, each after a piece of its line."""
    for number, row in enumerate(rows):
        y = 11 + _LEGEND * number
        for at, line in row:
            yield f'<path class="line {line.kind}" d="M{at:.1f} {y}h16"/>'
            name = escape(line.name)
            yield f'<text class="key" x="{at + 21:.1f}" y="{y + 4}">{name}</text>'


def _labels(labels: Sequence[tuple[str, float, float]]) -> list[str]:
    """Return labels beside their points, uppermost first, but for those that would cover others."""
    written: list[tuple[float, float]] = []
    parts: list[str] = []
    for text, x, y in sorted(labels, key=lambda label: label[2]):
        width = 8.0 * len(text)
        left = x + 7 if x + 7 + width < _WIDTH else x - 7 - width
        top = max(y - 6, 10.0)
        if all(abs(left - a) >= width + 4 or abs(top - b) >= 13 for a, b in written):
            written.append((left, top))
            parts.append(f'<text class="label" x="{left:.1f}" y="{top:.1f}">{escape(text)}</text>')
    return parts


@dataclass(frozen=True)
class _Scale:
    """From a value to its share of a direction's length; the ticks span it."""

    ticks: tuple[float, ...]
    log: bool = False

    def share(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        if self.log:
            value, low, high = math.log(max(value, 1e-300)), math.log(low), math.log(high)
        return min(max((value - low) / (high - low), 0.0), 1.0)


@dataclass(frozen=True)
class _Frame:
    """From values to places."""

    across: _Scale
    up: _Scale
    top: float = _MARGIN
    left: float = _LEFT
    height: float = _HEIGHT

    def x(self, value: float) -> float:
        return self.left + self.across.share(value) * (_WIDTH - self.left - _MARGIN)

    def y(self, value: float) -> float:
        low = self.height - _BOTTOM
        return low - self.up.share(value) * (low - self.top)

    def axes(self, x: ChartAxis, y: ChartAxis) -> Iterable[str]:
        right = _WIDTH - _MARGIN
        for value in self.up.ticks:
            at = self.y(value)
            kind = "zero" if value == y.level else "grid"
            yield f'<path class="{kind}" d="M{self.left:g} {at:.1f}H{right}"/>'
            yield f'<text x="{self.left - 6:g}" y="{at + 4:.1f}" class="y">{_number(value)}</text>'
        if y.level is not None and y.level not in self.up.ticks:
            yield f'<path class="zero" d="M{self.left:g} {self.y(y.level):.1f}H{right}"/>'
        yield from self.axes_below(x.label, x.level)
        middle = (self.top + self.height - _BOTTOM) / 2
        turn = f"rotate(-90 14 {middle:g})"
        yield (f'<text x="14" y="{middle:g}" class="x" transform="{turn}">{escape(y.label)}</text>')

    def axes_below(self, label: str, level: float | None = 0.0) -> Iterable[str]:
        low, right = self.height - _BOTTOM, _WIDTH - _MARGIN
        for value in self.across.ticks:
            at = self.x(value)
            kind = "zero" if value == level else "grid"
            yield f'<path class="{kind}" d="M{at:.1f} {self.top:g}V{low:g}"/>'
            number = _number(value)
            inside = at + _LETTER * len(number) / 2 < _WIDTH
            place, anchor = (at, "x") if inside else (_WIDTH - 1.0, "y")
            yield f'<text x="{place:.1f}" y="{low + 19:g}" class="{anchor}">{number}</text>'
        middle = (self.left + right) / 2
        yield f'<text x="{middle:g}" y="{self.height - 6:g}" class="x">{escape(label)}</text>'


def _scale(axis: ChartAxis, values: Sequence[float]) -> _Scale:
    low = max(min(values), -math.inf if axis.low is None else axis.low)
    high = min(max(values), math.inf if axis.high is None else axis.high)
    high = max(high, low)
    return _Scale(_decades(low, high), True) if axis.log else _Scale(_ticks(low, high))


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


def _decades(low: float, high: float) -> tuple[float, ...]:
    """Return powers of ten from below `low` to above `high`; with 3 between where there are few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    last = max(last, first + 1)
    stride = -(-(last - first) // 6)
    last = first + stride * -(-(last - first) // stride)
    powers = [10.0**i for i in range(first, last + 1, stride)]
    if last - first > 3:
        return tuple(powers)
    ticks = [p * f for p in powers for f in (1, 3)][:-1]
    inner = [t for t in ticks if low <= t <= high]
    below = [t for t in ticks if t <= low][-1:]
    above = [t for t in ticks if t >= high][:1]
    found = tuple(sorted({*below, *inner, *above}))
    return found if len(found) > 1 else tuple(ticks)


def _number(value: float) -> str:
    text = f"{value:g}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("-", "\N{MINUS SIGN}")
