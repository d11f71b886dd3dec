"""Every error of the package that a user can meet, with the exit code the command line gives it.

    EvosearchError                1   something failed that is not the user's doing
    ├── UsageError (ValueError)   2   what was asked for cannot be done as asked
    │   ├── ProgramError              program text or rules that are not well-formed
    │   ├── ConfigError               unknown key or preset, value out of range
    │   └── DataError                 a data file that is missing or not what it should be
    ├── RunError                  1   a run directory; raised itself when writing to it failed
    │   ├── RunExists             2   a new run would write over something
    │   ├── RunInUse              2   another process writes to it
    │   ├── RunNotFound           2   there is no run there
    │   ├── NewerFormat           2   written by a newer version of this package
    │   └── CorruptArchive        2   what was stored is not what is read
    └── ClusterError              2   no answer, or resources that the cluster does not have

A message is one paragraph: what was expected, what was found, what to do. Failure of a *candidate*
is not an error but a status of its evaluation.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "ClusterError",
    "ConfigError",
    "CorruptArchive",
    "DataError",
    "EvosearchError",
    "NewerFormat",
    "ProgramError",
    "RunError",
    "RunExists",
    "RunInUse",
    "RunNotFound",
    "UsageError",
]


_AROUND = 60
"""Characters of a line that are shown on either side of a place in it."""


class EvosearchError(Exception):
    """Base of all errors that this package raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(EvosearchError, ValueError):
    """What was asked for cannot be done as asked."""

    exit_code = 2


class ProgramError(UsageError):
    """Program text or a rule that is not well-formed.

    Attributes:
        line: Line of the program text, from 1; None where the rule does not come from text.
        column: Column in that line, from 1, or None.
        source: The text of that line, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        line: int | None = None,
        column: int | None = None,
        source: str | None = None,
    ) -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.source = source

    def __str__(self) -> str:
        """The message, then the place: line, column, and the line's text with a caret."""
        message = super().__str__()
        if self.line is None:
            return message
        place = f"line {self.line}" + (f", column {self.column}" if self.column else "")
        text = f"{message} ({place})"
        if self.source is None:
            return text
        column = self.column or 1
        first = max(0, column - 1 - _AROUND)
        shown = self.source[first : column - 1 + _AROUND]
        before, after = "..." * (first > 0), "..." * (column - 1 + _AROUND < len(self.source))
        caret = f"\n    {' ' * (column - 1 - first + len(before))}^" if self.column else ""
        return f"{text}\n    {before}{shown}{after}{caret}"


class ConfigError(UsageError):
    """An unknown key or preset, or a value that is out of range."""


class DataError(UsageError):
    """A data file that is missing or is not what it should be."""


class RunError(EvosearchError):
    """Something about a run directory; raised itself when writing to it failed."""


class RunExists(RunError):
    """A new run was to be written where something already is."""

    exit_code = 2


class RunInUse(RunError):
    """Another process holds the run directory's lock."""

    exit_code = 2


class RunNotFound(RunError):
    """There is no run in that directory."""

    exit_code = 2


class NewerFormat(RunError):
    """The run was written in a format that this version does not know yet."""

    exit_code = 2


class CorruptArchive(RunError):
    """What is stored is not what was written: a checksum, a sequence number or a file is wrong."""

    exit_code = 2


class ClusterError(EvosearchError):
    """The cluster does not answer or does not have what was asked for."""

    exit_code = 2
