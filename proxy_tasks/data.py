"""Reading a user's files: the error that says what is wrong with them, and where to look."""

from __future__ import annotations

from pathlib import Path

__all__ = ["DataError", "folder"]


class DataError(ValueError):
    """A data file that is missing or malformed: what was expected, what was found, what to do."""


def folder(path: str, content: str) -> Path:
    """Return the folder a task reads from.

    Args:
        path: What the user gave, possibly nothing.
        content: What belongs in it, for the error message.

    Raises:
        DataError: There is no such folder.
    """
    if not path:
        raise DataError(f"expected a folder with {content}, found no path; set the task's `path`")
    root = Path(path).expanduser()
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise DataError(
            f"expected a folder with {content} at {root}, found {found}; correct `path`"
        )
    return root
