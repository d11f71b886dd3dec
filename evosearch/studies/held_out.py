"""The record of held-out tasks: a file that every look is appended to before its result is known.

A held-out task is worth the less the more often it was used, and a test is worth little that was
chosen after its figures. So each use is registered with its finalists and its test. The file
belongs into version control, beside the claims that rest on it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from evosearch.errors import DataError
from evosearch.storage.atomic_write import write_all
from evosearch.storage.json_record import JsonRecord

__all__ = ["Look", "log_file", "looks", "note_look"]

_FOLDER: Final = Path("discovered")


@dataclass(frozen=True)
class Look(JsonRecord):
    """One use of tasks that searches do not see."""

    look: int
    """Its number, from 1."""
    time: str
    """In UTC, as ISO 8601."""
    purpose: str
    """The command."""
    tasks: tuple[str, ...]
    programs: tuple[str, ...]
    """Digests of what was evaluated."""
    seeds: int
    """Paired seeds a task."""
    finalists: tuple[str, ...] = ()
    """Names of those that claims are about; the first looks lack it, and the plan."""
    plan: str = ""
    """How they are tested."""


def log_file() -> Path:
    """Return where looks are noted: beside the discoveries, or in the current directory."""
    return (_FOLDER if _FOLDER.is_dir() else Path()) / "held_out.jsonl"


def note_look(
    purpose: str,
    tasks: Iterable[str],
    programs: Iterable[str],
    seeds: int,
    log: Path | None = None,
    *,
    finalists: Iterable[str] = (),
    plan: str = "",
) -> int:
    """Append a look at those of the tasks that searches do not see, and return how many there were.

    These are held-out tasks and larger copies. Nothing is written, and 0 returned, where there is
    none.

    Args:
        purpose: The command.
        tasks: Names of registered tasks.
        programs: Texts of what is evaluated.
        seeds: Paired seeds a task.
        log: The file; `log_file` unless given.
        finalists: Names of those that the claims will be about.
        plan: How they will be tested.

    Raises:
        DataError: The file cannot be read or written.
    """
    from proxy_tasks.registry import TASKS
    from proxy_tasks.task import Split

    unseen = (Split.LARGER, Split.HELD_OUT)
    held_out = [name for name in tasks if TASKS[name].split in unseen]
    if not held_out:
        return 0
    log = log or log_file()
    count = len(looks(log)) + 1
    look = Look(
        look=count,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        purpose=purpose,
        tasks=tuple(held_out),
        programs=tuple(hashlib.sha256(text.encode()).hexdigest()[:16] for text in programs),
        seeds=seeds,
        finalists=tuple(finalists),
        plan=plan,
    )
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            write_all(descriptor, (json.dumps(look.to_json()) + "\n").encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise DataError(
            f"expected to note the use of held-out tasks in {log.absolute()}, but: {error}"
        ) from None
    return count


def looks(log: Path) -> list[Look]:
    """Return all looks so far, oldest first.

    Raises:
        DataError: The file cannot be read, or a line of it is no look.
    """
    try:
        lines = log.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the uses of held-out tasks in {log}: {error}") from None
    found: list[Look] = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(Look.from_json(json.loads(line)))
        except ValueError:  # no JSON, or of another form
            raise DataError(
                f"{log}, line {number}: expected the note of a use of held-out tasks, found "
                f"{line[:60]!r}; restore the file from version control"
            ) from None
    return found
