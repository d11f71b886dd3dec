"""What every command does that evaluates held-out tasks: note it, and say so."""

from __future__ import annotations

from collections.abc import Iterable

from evosearch.cli.output import progress_console

__all__ = ["look"]


def look(purpose: str, tasks: Iterable[str], programs: Iterable[str], seeds: int) -> int:
    """Note a look at those of the tasks that are held out; return how many there were so far.

    Args:
        purpose: The command.
        tasks: Names of registered tasks.
        programs: Texts of what is evaluated.
        seeds: Paired seeds a task.
    """
    from evosearch.held_out import LOG, note_look

    count = note_look(purpose, tasks, programs, seeds)
    if count:
        text = f"Look {count} at held-out tasks, noted in {LOG}."
        progress_console().print(text, soft_wrap=True)
    return count
