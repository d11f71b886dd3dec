"""The lines of a journal: strict JSON in a frame that shows whether it is whole.

A segment is a header line, then one line a record. Both are JSON, for people and for `jq`:

    {"format":2,"segment":1,"first":1,"chain":"00000000","writer":"evosearch 0.1.0","crc":"5f3a..."}
    {"seq":1,"crc":"0b1c...","size":53,"record":{"kind":"manifest",...}}

`size` tells a line that was cut short from one that was damaged. `crc` is the CRC-32 of the
record's bytes continued from the line before, so that a line is valid only where it was written.
The shape of the header line is the same in every format version.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NoReturn

import pydantic_core

from evosearch.errors import CorruptArchive, NewerFormat, UsageError

__all__ = [
    "FORMAT",
    "LINE_LIMIT",
    "MIGRATIONS",
    "BadLine",
    "Header",
    "Record",
    "check_line",
    "decode_line",
    "encode_line",
    "is_cut",
    "to_json",
    "writer",
]

FORMAT = 2
"""The format version that is written; older ones are read, newer ones are refused.

    1   the first
    2   a run may be extended (records of the kind `extended`)
"""

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: lambda body: body}
"""Format version to the function that turns its records into those of the next version."""

LINE_LIMIT = 1 << 26
"""The longest line in bytes that is written or read."""

_DEPTH = 32
_SOUND = frozenset({str, bool, type(None)})
_INTEGERS = range(-(1 << 63), 1 << 64)
_KIND = re.compile(rb'\{"kind":"([a-z]{1,20})"')
_FRAME = re.compile(rb'\{"seq":(\d{1,15}),"crc":"([0-9a-f]{8})","size":(\d{1,9}),"record":')
_HEADER = re.compile(
    rb'(\{"format":(\d{1,6}),"segment":(\d{1,6}),"first":(\d{1,15}),"chain":"([0-9a-f]{8})",'
    rb'"writer":"([ -!#-\[\]-~]{1,80})"),"crc":"([0-9a-f]{8})"\}\n'
)
_LONGEST_FRAME = len('{"seq":,"crc":"01234567","size":,"record":') + 15 + 9


class BadLine(Exception):
    """A line that is not what was written; the message says what was expected and found.

    It never leaves the journal, which turns it into a `CorruptArchive` that knows the place.
    """


@dataclass(frozen=True)
class Record:
    """One committed record; it is read as JSON when it is asked for."""

    sequence: int
    """Its number in the journal, from 1."""
    payload: bytes
    """Its JSON, in this format version."""
    chain: int
    """The CRC of its line, which the next line continues."""
    place: str = "the journal"
    """Where it is."""

    @cached_property
    def body(self) -> dict[str, Any]:
        """What it says.

        Raises:
            CorruptArchive: It is not an object in strict JSON with a "kind".
        """
        try:
            body = _from_json(self.payload)
        except (ValueError, RecursionError) as error:
            raise self.misfit(f"expected strict JSON, found: {error}") from None
        if not isinstance(body, dict) or not isinstance(body.get("kind"), str):
            raise self.misfit('expected an object with a "kind"')
        return body

    @cached_property
    def kind(self) -> str:
        """What it records: "manifest", "reference", "pack", ..."""
        match = _KIND.match(self.payload)
        return match[1].decode() if match else self.body["kind"]

    def misfit(self, problem: str) -> CorruptArchive:
        """Return the error that it was written as it stands, and is not what it should be."""
        return CorruptArchive(
            f"{self.place}: record {self.sequence} is as it was written, and still wrong: "
            f"{problem}. The version that wrote it is at fault."
        )


@dataclass(frozen=True)
class Header:
    """The first line of a segment."""

    segment: int
    first: int
    """Sequence number of the segment's first record."""
    chain: int
    """CRC of the last line of the segment before; 0 in the first segment."""
    format: int
    writer: str

    def encode(self) -> bytes:
        """Return the header's line."""
        text = (
            f'{{"format":{self.format},"segment":{self.segment},"first":{self.first},'
            f'"chain":"{self.chain:08x}","writer":{json.dumps(self.writer)}'
        )
        return f'{text},"crc":"{zlib.crc32(text.encode()):08x}"}}\n'.encode()

    @classmethod
    def decode(cls, line: bytes) -> Header:
        """Read a header's line, of this or another format version.

        Raises:
            BadLine: It is not one, or it was changed.
            NewerFormat: It is whole, and of a format that is not known here.
        """
        match = _HEADER.fullmatch(line)
        if match is None or zlib.crc32(match[1]) != int(match[7], 16):
            raise BadLine("expected the header of a journal segment, found something else")
        version, segment, first = (int(match[group]) for group in (2, 3, 4))
        header = cls(segment, first, int(match[5], 16), version, match[6].decode())
        if header.format > FORMAT:
            raise NewerFormat(
                f"It is in format {header.format}, written by {header.writer}, and this version "
                f"reads formats up to {FORMAT}. Install the version that wrote it, or a newer "
                f"one: pip install 'evosearch>={header.writer.partition(' ')[2]}'."
            )
        return header


def encode_line(sequence: int, body: Mapping[str, Any], chain: int) -> tuple[bytes, int]:
    """Return a record's line and its CRC, which the next line continues.

    Raises:
        UsageError: The record cannot be stored as it is; see `to_json`.
    """
    if not isinstance(body.get("kind"), str):
        raise UsageError(f'A record needs a "kind" that is text, found {body.get("kind")!r}.')
    payload = to_json(body).encode()
    if len(payload) > LINE_LIMIT - 2 * _LONGEST_FRAME:
        raise UsageError(
            f"A record may have up to {LINE_LIMIT >> 20} MiB, found {len(payload) >> 20} MiB in "
            f"one of kind {body['kind']!r}. Evaluate smaller packs."
        )
    crc = zlib.crc32(payload, chain)
    frame = f'{{"seq":{sequence},"crc":"{crc:08x}","size":{len(payload)},"record":'
    return frame.encode() + payload + b"}\n", crc


def decode_line(line: bytes, sequence: int, chain: int, version: int, place: str) -> Record:
    """Read a record's line, which must have this sequence number and continue this chain.

    Returns:
        The record, migrated from format `version`.

    Raises:
        BadLine: It is not the line that was written here.
        CorruptArchive: It is, and cannot be migrated because it is no record.
    """
    payload, crc = check_line(line, sequence, chain)
    record = Record(sequence, payload, crc, place)
    if version == FORMAT:
        return record
    body = record.body
    for old in range(version, FORMAT):
        body = MIGRATIONS[old](body)
    return Record(sequence, to_json(body).encode(), crc, place)


def check_line(line: bytes, sequence: int, chain: int) -> tuple[bytes, int]:
    """Check that a record's line is what was written here, without reading the record.

    Returns:
        The record's JSON and its CRC.

    Raises:
        BadLine: As for `decode_line`.
    """
    frame = _FRAME.match(line)
    if frame is None:
        raise BadLine(f"expected the frame of record {sequence}, found {line[:40]!r}")
    if int(frame[1]) != sequence:
        raise BadLine(f"expected record {sequence}, found record {int(frame[1])}")
    payload, end = line[frame.end() : -2], line[-2:]
    if len(payload) != int(frame[3]) or end != b"}\n":
        raise BadLine(f"expected {int(frame[3])} bytes of record {sequence}, found {len(payload)}")
    crc = zlib.crc32(payload, chain)
    if crc != int(frame[2], 16):
        raise BadLine(
            f"expected checksum {frame[2].decode()} of record {sequence}, found {crc:08x}"
        )
    return payload, crc


def is_cut(tail: bytes) -> bool:
    """Whether a last line without its newline was cut short, as a crash does, not damaged."""
    frame = _FRAME.match(tail)
    return len(tail) < (frame.end() + int(frame[3]) + 1 if frame else _LONGEST_FRAME)


def to_json(value: Any) -> str:
    """Return strict JSON, which reads back as what was written.

    Allowed are None, bool, text, integers of 64 bits, finite floats, lists and tuples, and mappings
    with text keys, nested up to 32 deep.

    Raises:
        UsageError: There is anything else in it, or a float that is not finite: the caller decides
            how to say that (null and a status, say).
    """
    if flaw := _flaw(value, 0):
        raise UsageError(f"record{flaw}")
    try:
        return pydantic_core.to_json(value).decode()
    except ValueError:  # text with half a surrogate pair, which UTF-8 cannot say
        return json.dumps(value, allow_nan=False, separators=(",", ":"))


def _from_json(payload: bytes) -> Any:
    """Read strict JSON; three times as fast as Python's own module, which has the last word.

    Raises:
        ValueError, RecursionError: It is not.
    """
    try:
        return pydantic_core.from_json(payload, allow_inf_nan=False)
    except ValueError:
        return json.loads(payload, parse_constant=_refuse)


def _flaw(value: Any, depth: int) -> str:
    """Return where and why a value cannot be stored, or "" if it can."""
    if not isinstance(value, dict | list | tuple):
        return _scalar_flaw(value)
    if depth == _DEPTH:
        return f": expected nesting up to {_DEPTH} deep, found more."
    named = isinstance(value, dict)
    for key, item in value.items() if named else enumerate(value):
        if (item.__class__ in _SOUND or (item.__class__ is float and math.isfinite(item))) and (
            not named or key.__class__ is str
        ):
            continue  # nearly all there is, for a third of the time
        if named and not isinstance(key, str):
            return f": expected keys that are text, found {key!r}."
        if flaw := _flaw(item, depth + 1):
            return (f".{key}" if named else f"[{key}]") + flaw
    return ""


def _scalar_flaw(value: Any) -> str:
    if value is None or isinstance(value, str | bool):
        return ""
    if isinstance(value, int):
        fits = value in _INTEGERS
        return "" if fits else ": expected an integer of 64 bits, found a larger one."
    if isinstance(value, float):
        finite = math.isfinite(value)
        return "" if finite else f": expected a finite number, found {value}; store null instead."
    return f": expected plain JSON (text, number, list, dict, ...), found {type(value).__name__}."


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


@cache
def writer() -> str:
    """The name and version of this package, as files that it writes state it."""
    from importlib import metadata  # slow to import, and readers do not need it

    try:
        return f"evosearch {metadata.version('evosearch')}"
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "evosearch 0"
