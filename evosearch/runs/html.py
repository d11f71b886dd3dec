"""An HTML page that needs nothing else: no script, no font, no network; text is always text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

__all__ = ["Markup", "code", "details", "heading", "inline", "link", "page", "paragraph", "table"]

_STYLE: Final = """
:root { --ink: #1c2430; --faint: #5c6470; --paper: #fff; --shade: #f4f5f7; --rule: #d5d8dd;
  --point: #5b7fb9; --mark: #b3261e; --front: #1a7f5a; color-scheme: light dark }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e6ea; --faint: #9aa2ad; --paper: #15181d;
  --shade: #20242b; --rule: #3a3f48; --point: #7ea2dd; --mark: #ff8a7a; --front: #5fc9a0 } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem;
  color: var(--ink); background: var(--paper) }
h1, h2, h3 { line-height: 1.2 } h2 { margin-top: 2.5rem } h3 { margin-top: 2rem }
a { color: inherit } p.note { color: var(--faint); font-size: .9rem } p { max-width: 48rem }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: .9rem }
th, td { padding: .2rem .7rem .2rem 0; text-align: right; vertical-align: top }
td { white-space: nowrap; font-variant-numeric: tabular-nums }
th { border-bottom: 1px solid var(--rule); vertical-align: bottom }
td.text, th.text { text-align: left } td.text { white-space: normal }
td code { white-space: pre-wrap; font-size: .85em }
pre { background: var(--shade); padding: .8rem; overflow-x: auto; font-size: .85rem }
svg { width: 100%; height: auto } svg text { font-size: 12px; fill: var(--faint) }
.x { text-anchor: middle } .y { text-anchor: end }
.grid { stroke: var(--rule); stroke-width: .6 } .zero { stroke: var(--faint) }
.line { stroke: var(--front); fill: none; stroke-width: 1.5 }
.point { fill: var(--point); fill-opacity: .55 } .marked { fill: var(--mark) }
.error { stroke: var(--mark) } svg text.label { fill: var(--mark); font-size: 11px }
@media print { body { margin: 0; max-width: none } h2 { break-after: avoid } }
"""


@dataclass(frozen=True)
class Markup:
    """HTML that was put together here; any other text is escaped."""

    html: str


def page(title: str, parts: Iterable[str]) -> str:
    """Return a whole page.

    Args:
        title: Its title, as text.
        parts: What is on it, as HTML.
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def heading(level: int, text: str, name: str = "") -> str:
    """Return a heading, which links reach by its name."""
    mark = f' id="{escape(name)}"' if name else ""
    return f"<h{level}{mark}>{escape(text)}</h{level}>"


def paragraph(text: str, note: bool = False) -> str:
    """Return a paragraph; a note is less prominent."""
    kind = ' class="note"' if note else ""
    return f"<p{kind}>{escape(text)}</p>"


def code(text: str) -> str:
    """Return lines of code."""
    return f"<pre>{escape(text)}</pre>"


def inline(text: str) -> Markup:
    """Return code for a cell of a table; its lines stay lines."""
    return Markup(f"<code>{escape(text)}</code>")


def link(text: str, name: str) -> Markup:
    """Return a link to a heading of the page."""
    return Markup(f'<a href="#{escape(name)}">{escape(text)}</a>')


def details(title: str, text: str) -> str:
    """Return code that is shown when its title is clicked."""
    return f"<details><summary>{escape(title)}</summary>{code(text)}</details>"


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str | Markup]], text: Sequence[str] = ()
) -> str:
    """Return a table.

    Args:
        columns: Titles; without any there is no head.
        rows: Cells.
        text: Titles of columns of words; others are right-aligned.
    """

    def row(cells: Sequence[str | Markup], tag: str) -> str:
        kinds = [' class="text"' if title in text else "" for title in columns]
        parts = (f"<{tag}{k}>{_cell(c)}</{tag}>" for c, k in zip(cells, kinds, strict=True))
        return f"<tr>{''.join(parts)}</tr>"

    head = row(columns, "th") if any(columns) else ""
    body = "".join(row(cells, "td") for cells in rows)
    return f'<div class="wide"><table>{head}{body}</table></div>'


def _cell(cell: str | Markup) -> str:
    return cell.html if isinstance(cell, Markup) else escape(cell)
