"""The glossary's words are those that code, commands, JSON and pages use, and no others are."""

from __future__ import annotations

import ast
import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from evosearch.cli.main import app

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "glossary.md"
WORDS = {
    word: (meaning, place)
    for word, meaning, place in re.findall(
        r"^\| ([a-z]+) \| (.+) \| `(.+)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
}
COMMANDS = [command.callback.__name__ for command in app.registered_commands]
RETIRED = {
    "canonical": "program",
    "stripped": "program",
    "ledger": "history",
    "standing": "fitness",
    "roster": "candidates",
    "tally": "summary",
    "shelf": "list",
    "knock": "join",
    "examination": "test",
}
"""Words that were once used for something, and what to say; people had to look them up."""


def said() -> dict[str, str]:
    """All pages that people read, by path; what is history says what it was."""
    paths = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    return {path.name: path.read_text(encoding="utf-8") for path in paths if path != PAGE}


def named() -> Iterator[str]:
    """The names of the package's modules and classes."""
    for path in (ROOT / "evosearch").rglob("*.py"):
        yield path.stem
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                yield node.name


def keys(value: Any) -> Iterator[str]:
    """All keys of an object in JSON."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from keys(item)


def words(text: str) -> set[str]:
    """The words of a text or an identifier, in small letters."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+", text)}


def test_it_has_at_most_fifteen_words():
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:2] == "| "]
    assert len(rows) == len(WORDS) + 1, "every row has a word, a meaning and a place"
    assert 12 < len(WORDS) <= 15
    assert not WORDS.keys() & RETIRED.keys()


@pytest.mark.parametrize("word", WORDS)
def test_the_code_calls_it_so(word):
    _, place = WORDS[word]
    if place.startswith("evosearch "):
        assert place.removeprefix("evosearch ") in COMMANDS
        return
    path = place.split(".")
    value: Any = importlib.import_module(path[0])
    for i, name in enumerate(path[1:], 2):
        if is_dataclass(value) and name in {field.name for field in fields(value)}:
            value = name
        elif hasattr(value, name):
            value = getattr(value, name)
        else:
            value = importlib.import_module(".".join(path[:i]))
    assert word in path[-1].lower()


@pytest.mark.parametrize("word", WORDS)
def test_the_pages_use_it(word):
    pages = [name for name, text in said().items() if words(text) & {word, f"{word}s"}]
    assert len(pages) >= 2, f"a word that only {pages} use needs no row"


def test_no_page_and_no_help_says_it_otherwise(evosearch):
    texts = said() | {
        f"{command} --help": evosearch(command, "--help").stdout for command in COMMANDS
    }
    found = {name: words(text) & RETIRED.keys() for name, text in texts.items()}
    assert not {name: retired for name, retired in found.items() if retired}


def test_no_module_and_no_class_is_called_otherwise():
    assert not {name for name in named() if words(name) & RETIRED.keys()}


def test_no_json_says_it_otherwise(as_json, small_run):
    printed = [as_json(*command) for command in (
        ("status", small_run), ("top", small_run), ("show", small_run), ("tasks",),
    )]  # fmt: skip
    found = set(keys(json.loads(json.dumps(printed))))
    assert {"program", "genome", "score", "statements", "states", "tier", "baselines"} <= found
    assert not {key for key in found if words(key) & {*RETIRED, "reference", "references"}}
