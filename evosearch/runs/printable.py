"""Text that a terminal shows and does not obey, whoever wrote it."""

from __future__ import annotations

import unicodedata

__all__ = ["escaped", "plain"]

_KEPT = "\n\t"


def plain(text: str) -> str:
    """Return a text in which what would move the cursor, hide or reorder is written out."""
    if text.isascii() and (text.isprintable() or text.replace("\n", "").isprintable()):
        return text
    return "".join(c if _harmless(c) else c.encode("unicode_escape").decode() for c in text)


def escaped(json: str) -> str:
    """Return JSON with the same characters as its own escapes, which mean the same."""
    units = (c if _harmless(c) else c.encode("utf-16-be", "surrogatepass").hex() for c in json)
    return "".join(
        u if len(u) == 1 else "".join(f"\\u{u[i : i + 4]}" for i in range(0, len(u), 4))
        for u in units
    )


def _harmless(character: str) -> bool:
    """Whether a character is a sign or a space: no control (Cc), format (Cf) or surrogate (Cs)."""
    return character in _KEPT or unicodedata.category(character) not in ("Cc", "Cf", "Cs")
