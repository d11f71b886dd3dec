"""A run's history: the part of its journal that configuration and seeds determine.

The same run with one worker, with many, or killed and resumed has the same history. Left out are
timings and hosts (everything under a key "info"), records of faults, notes and resumptions, and of
the manifest all but its "config" and "seeds". Extensions are left out as well: they bring about the
packs after the old end, whenever they were asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any

from evosearch.storage.codec import Record

__all__ = ["Digest", "compare", "determined", "digest", "history"]

_INFORMATIVE = frozenset({"extended", "fault", "note", "resumed"})
_NAMES = ("the first run", "the second")


def history(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    """Yield what is determined of each record, without those that are informative."""
    for record in records:
        if (step := determined(record)) is not None:
            yield step


def determined(record: Record) -> dict[str, Any] | None:
    """Return what is determined of a record; None of one that is informative."""
    if record.kind == "manifest":
        return {key: record.body.get(key) for key in ("kind", "config", "seeds")}
    if record.kind in _INFORMATIVE:
        return None
    if record.payload.count(b'"info":') == ("info" in record.body):  # nowhere deeper
        return {key: value for key, value in record.body.items() if key != "info"}
    return _without_info(record.body)


def digest(records: Iterable[Record]) -> str:
    """Return the SHA-256 of a history in hexadecimal; equal histories have equal digests."""
    total = Digest()
    for record in records:
        total.take(record)
    return total.hexdigest()


class Digest:
    """The digest of a history whose records come one by one."""

    def __init__(self) -> None:
        self._total = hashlib.sha256()

    def take(self, record: Record) -> None:
        """Take in the next record."""
        if (step := determined(record)) is not None:
            self._total.update(_canonical(step).encode() + b"\n")

    def hexdigest(self) -> str:
        """Return the digest of the records so far."""
        return self._total.hexdigest()


def compare(first: Iterable[Record], second: Iterable[Record]) -> str | None:
    """Return the first difference of two histories as a sentence, or None if there is none."""
    pairs = zip_longest(history(first), history(second))
    for number, (left, right) in enumerate(pairs, 1):
        if left is None or right is None:
            shorter, longer = _NAMES if left is None else reversed(_NAMES)
            return f"{shorter} ends before step {number}, {_title(left or right)} of {longer}"
        if _canonical(left) != _canonical(right):
            place, a, b = _difference(left, right, "")
            title = _title(left)
            return f"step {number}, {title}: {place} is {a} in {_NAMES[0]} and {b} in {_NAMES[1]}"
    return None


def _without_info(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_info(item) for key, item in value.items() if key != "info"}
    if isinstance(value, list):
        return [_without_info(item) for item in value]
    return value


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":"))


def _title(body: Any) -> str:
    """How to call a step: "pack 3", or "manifest" for what has no number."""
    number = body.get("pack", "")
    return f"{body['kind']} {number}".strip()


def _difference(left: Any, right: Any, place: str) -> tuple[str, str, str]:
    """Return where two unequal values differ first, and both values there."""
    if type(left) is type(right) and isinstance(left, dict | list):
        a, b = _items(left), _items(right)
        for name in [*a, *(name for name in b if name not in a)]:
            if name not in a or name not in b or _canonical(a[name]) != _canonical(b[name]):
                missing = _Absent()
                return _difference(a.get(name, missing), b.get(name, missing), place + name)
    return place.removeprefix("."), _show(left), _show(right)


def _items(value: dict[str, Any] | list[Any]) -> dict[str, Any]:
    """The parts of a container by how they are written behind its name."""
    if isinstance(value, dict):
        return {f".{key}": value[key] for key in sorted(value)}
    return {f"[{index}]": item for index, item in enumerate(value)}


class _Absent:
    """Stands for what one of two runs does not have."""


def _show(value: Any) -> str:
    text = "absent" if isinstance(value, _Absent) else _canonical(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
