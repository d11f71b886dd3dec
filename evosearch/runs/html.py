"""HTML pages that need nothing else: no font, no network; text is always text."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files

__all__ = [
    "Markup",
    "asset",
    "cards",
    "checks",
    "code",
    "details",
    "excerpted",
    "figure",
    "heading",
    "inline",
    "link",
    "navigation",
    "page",
    "paragraph",
    "section",
    "table",
    "tabs",
    "zoomable",
]


@dataclass(frozen=True)
class Markup:
    """HTML that was put together here; any other text is escaped."""

    html: str


def page(title: str, parts: Iterable[str], live: str = "") -> str:
    """Return a whole page; it loads nothing.

    Args:
        title: Its title, as text.
        parts: What is on it, as HTML.
        live: An element that says that the page grows; then it may ask its server for itself.
    """
    script = asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    policy += "; connect-src 'self'" if live else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{asset('page.css')}</style></head>"
        f'<body class="evosearch">\n<main>\n'
        + "\n".join(parts)
        + f"\n</main>{live}\n<script>{script}</script></body></html>\n"
    )


def excerpted(parts: Iterable[str]) -> str:
    """Return parts of a page as an element with their style, for a notebook."""
    return f'<div class="evosearch"><style>{asset("page.css")}</style>{chr(10).join(parts)}</div>'


@cache
def asset(name: str) -> str:
    """Return the text of a file that pages contain."""
    return (files("evosearch.runs") / name).read_text("utf-8")


def section(name: str, title: str, parts: Iterable[str]) -> str:
    """Return a part of a page that links reach by its name."""
    return f'<section id="{escape(name)}"><h2>{escape(title)}</h2>\n{"".join(parts)}</section>'


def navigation(entries: Iterable[tuple[str, str]]) -> str:
    """Return links to sections, given as names and short titles."""
    links = (f'<a href="#{escape(name)}">{escape(title)}</a>' for name, title in entries)
    return f"<nav>{''.join(links)}</nav>"


def figure(drawing: str, caption: str = "") -> str:
    """Return a chart with what is to be said of it."""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{drawing}{below}</figure>"


def zoomable(drawing: str, caption: str) -> str:
    """Return a chart with buttons that zoom, and what is to be said of it."""
    buttons = "".join(
        f'<button type="button" data-zoom="{by}" aria-label="{name}">{sign}</button>'
        for by, name, sign in (
            ("0.6", "closer", "+"),
            ("1.7", "farther", "\N{MINUS SIGN}"),
            ("0", "the whole", "all"),
        )
    )
    caption = f"<figcaption>{escape(caption)}</figcaption>"
    return f'<figure class="zoomable"><div class="zooms">{buttons}</div>{drawing}{caption}</figure>'


def tabs(name: str, figures: Sequence[tuple[str, str]]) -> str:
    """Return up to three figures of which one is shown at a time, by their titles."""
    choices = (
        f'<input type="radio" name="{escape(name)}" id="{escape(name)}{i}"'
        f'{" checked" if i == 0 else ""}><label for="{escape(name)}{i}">{escape(title)}</label>'
        for i, (title, _) in enumerate(figures)
    )
    return f'<div class="tabs">{"".join(choices)}{"".join(drawn for _, drawn in figures)}</div>'


def cards(entries: Iterable[tuple[str, str]]) -> str:
    """Return values with what they are, given as pairs (value, what it is)."""
    parts = (f"<div><b>{escape(v)}</b><span>{escape(w)}</span></div>" for v, w in entries)
    return f'<div class="cards">{"".join(parts)}</div>'


def checks(entries: Iterable[tuple[bool | None, str]]) -> str:
    """Return a list of what holds, what does not, and what nobody knows yet (None).

    What stands `between backticks` is set as code.
    """
    kinds = {True: "yes", False: "no", None: "open"}
    parts = (f'<li class="{kinds[holds]}">{_words(text)}</li>' for holds, text in entries)
    return f'<ul class="checks">{"".join(parts)}</ul>'


def heading(level: int, text: str, name: str = "") -> str:
    """Return a heading, which links reach by its name."""
    mark = f' id="{escape(name)}"' if name else ""
    return f"<h{level}{mark}>{escape(text)}</h{level}>"


def paragraph(text: str, note: bool = False, *, lead: bool = False) -> str:
    """Return a paragraph; a note is less prominent than others, a lead more.

    What stands `between backticks` is set as code.
    """
    kind = ' class="note"' if note else ' class="lead"' if lead else ""
    return f"<p{kind}>{_words(text)}</p>"


def code(text: str, name: str = "") -> str:
    """Return lines of code; with a name, unique on the page, they can be copied."""
    if not name:
        return f"<pre>{escape(text)}</pre>"
    button = f'<button type="button" data-copy="{escape(name)}">copy</button>'
    return f'<div class="copied"><pre id="{escape(name)}">{escape(text)}</pre>{button}</div>'


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
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Markup]],
    text: Sequence[str] = (),
    *,
    head: bool = True,
) -> str:
    """Return a table; a column that is empty throughout is left out.

    Args:
        columns: Titles.
        rows: Cells.
        text: Titles of columns of words; others are right-aligned.
        head: Whether the titles are shown.
    """
    rows = list(rows)
    kept = [i for i in range(len(columns)) if any(_cell(row[i]) for row in rows)]
    columns, rows = [columns[i] for i in kept], [[row[i] for i in kept] for row in rows]

    def row(cells: Sequence[str | Markup], tag: str) -> str:
        kinds = [' class="text"' if title in text else "" for title in columns]
        parts = (f"<{tag}{k}>{_cell(c)}</{tag}>" for c, k in zip(cells, kinds, strict=True))
        return f"<tr>{''.join(parts)}</tr>"

    titles = row(columns, "th") if head else ""
    body = "".join(row(cells, "td") for cells in rows)
    return f'<div class="wide"><table>{titles}{body}</table></div>'


def _words(text: str) -> str:
    """Return a sentence as HTML, with code where it says so."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _cell(cell: str | Markup) -> str:
    return cell.html if isinstance(cell, Markup) else escape(cell)
