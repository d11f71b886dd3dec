"""Optimizers as a command line names them: a run's candidate, a file, or a known optimizer.

Wherever a command takes RUN ID it takes these:

    runs/quickstart-0 42     candidate 42 of a run; also written runs/quickstart-0:42
    runs/quickstart-0         its best candidate
    program.py                program text in a file; - for standard input
    short_muon                a discovery; discovered.muon where a known one has the name
    discovered/muon.json      any JSON of ours that holds a program
    lion                      a known optimizer

What is compared may be a class as well, torch.optim:AdamW or optimizer.py:ShortMuon.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from evosearch.errors import ProgramError, UsageError
from evosearch.runs.run import Run
from evosearch.training.optimizer_class import OptimizerClass

if TYPE_CHECKING:
    from evosearch.language.rule import RuleSet
    from evosearch.runs.candidate import Candidate

__all__ = ["NamedProgram", "contender", "resolve"]


@dataclass(frozen=True)
class NamedProgram:
    """A program, what to call it and where it comes from."""

    label: str
    """What to call it in a table."""
    program: RuleSet
    """As it was written; of a candidate what was evaluated, or its genome if that was asked for."""
    run: Run | None = None
    candidate: Candidate | None = None

    @property
    def genome(self) -> RuleSet:
        """A candidate's genome.

        Raises:
            UsageError: It is no candidate.
        """
        if self.candidate is None:
            raise UsageError(
                f"expected a run's candidate with --genome, found {self.label}: a program that is "
                "written or known has no genome besides; leave the option out"
            )
        return self.candidate.genome


def resolve(words: Sequence[str], genome: bool = False) -> NamedProgram:
    """Return what the words of a command line name.

    Args:
        words: Of the command line.
        genome: Whether to return a candidate's genome and not its program.

    Raises:
        UsageError: They name nothing, a program that is not well-formed, or, where a genome is
            asked for, no candidate.
        RunError: They name a run that cannot be read.
    """
    found = _resolve(words)
    return replace(found, program=found.genome) if genome else found


def contender(word: str) -> NamedProgram | OptimizerClass:
    """Return what a word names of all that can be compared: a program, or a class (MODULE:NAME).

    Raises:
        UsageError: It names nothing, or a class that cannot be loaded.
        RunError: It names a run that cannot be read.
    """
    from evosearch.language.parse import parse_rules

    directory, _, number = word.rpartition(":")
    of_run = number.isdigit() and directory
    if not of_run and not Path(word).exists() and OptimizerClass.is_text(word):
        return OptimizerClass.parse(word).checked()
    if "def " in word:
        rules = parse_rules(word)
        return NamedProgram(rules.name, rules)
    return resolve([word])


def _resolve(words: Sequence[str]) -> NamedProgram:
    if len(words) == 2:
        return _of_run(Path(words[0]), _id(words[1]))
    if len(words) != 1:
        raise UsageError(
            f"expected RUN ID, a program file or a known optimizer, found {' '.join(words)}"
        )
    (word,) = words
    path = Path(word)
    if word == "-":
        return _of_text("standard input", sys.stdin.read().removeprefix("\ufeff"))
    if path.is_dir():
        return _of_run(path, None)
    if path.is_file() and path.suffix == ".json":
        return _of_json(path.stem, _read(path))
    if path.is_file():
        return _of_text(word, _read(path))
    directory, colon, number = word.rpartition(":")
    if colon and number.isdigit():
        return _of_run(Path(directory), int(number))
    return _of_name(word)


def _of_run(directory: Path, id_: int | None) -> NamedProgram:
    run = Run.open(directory)
    if id_ is None:
        best = run.history.best()
        if best is None:
            raise UsageError(f"expected a candidate with a score in {directory}, found none yet")
        id_ = best.id
    candidate = run.candidate(id_)
    return NamedProgram(f"{directory}:{id_}", candidate.program, run, candidate)


def _of_json(stem: str, text: str) -> NamedProgram:
    """Return the program in JSON that a command wrote; its file may have a known one's name."""
    from evosearch.language.known import KNOWN
    from evosearch.language.parse import parse_rules

    try:
        data = json.loads(text)
        program = data.get("export", data)["program"]
        rules = parse_rules(program)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(
            f"expected JSON that an evosearch command wrote, with a `program`, in {stem}.json, "
            "found none"
        ) from None
    return NamedProgram(f"{stem} as found" if stem in KNOWN else stem, rules)


def _of_text(label: str, text: str) -> NamedProgram:
    from evosearch.language.parse import parse_rules

    try:
        return NamedProgram(label, parse_rules(text))
    except ProgramError as error:
        lines = text.splitlines()
        known = error.line is not None and 0 < error.line <= len(lines)
        raise ProgramError(
            f"{label}: {error.args[0]}",
            line=error.line,
            column=error.column,
            source=lines[error.line - 1] if known and error.line else None,
        ) from None


def _of_name(word: str) -> NamedProgram:
    from evosearch.language.known import KNOWN, known

    if word not in KNOWN:
        stem = word.removeprefix("discovered.")
        find = files("discovered").joinpath(f"{stem}.json")
        if stem.isidentifier() and find.is_file():
            return _of_json(stem, find.read_text(encoding="utf-8"))
    if word not in KNOWN and (Path(word).suffix or len(Path(word).parts) > 1):
        raise UsageError(f"expected a run or a program file at {word}, found nothing there")
    return NamedProgram(word, known(word))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"expected program text in {path}, but: {error}") from None


def _id(word: str) -> int:
    digits = word.removeprefix("#")
    if not digits.isdigit():
        raise UsageError(f"expected the id of a candidate, a number, found `{word}`")
    return int(digits)
