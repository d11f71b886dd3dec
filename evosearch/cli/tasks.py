"""The tasks that programs are tried on: a run's own, or those that are named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from evosearch.cli.output import progress_console
from evosearch.config.overrides import named_tasks
from evosearch.errors import UsageError

if TYPE_CHECKING:
    from evosearch.config.schema import Config
    from evosearch.runs.named_program import NamedProgram

__all__ = ["note_held_out", "task_names", "tasks_config"]

_TASKS: Final = ("digits_mlp",)
"""Where programs are tried that do not come from a run."""
_FROM_RUN: Final = ("tiers", "tasks", "elasticity")
"""What is taken over from a run's configuration."""


def tasks_config(
    subjects: Sequence[NamedProgram], tasks: str | None, settings: Sequence[str]
) -> Config:
    """Return a configuration of tasks, the first run's unless they are named; else the defaults.

    Args:
        subjects: What is to be tried.
        tasks: Names and files, separated by commas.
        settings: Changes, ``a.b=c``.

    Raises:
        UsageError: A task is named twice, or a name or a setting is wrong.
    """
    from evosearch.config.schema import configure

    data: dict[str, Any] = {"tiers": [{"tasks": list(_TASKS)}]}
    if run := next((subject.run for subject in subjects if subject.run), None):
        kept = run.manifest["config"]
        data = {key: kept[key] for key in _FROM_RUN if key in kept}
    return configure(data, settings, "the evaluation", task_names(tasks))


def task_names(text: str | None) -> list[str] | None:
    """Return the names in a list with commas, those in files too; None where no tasks are named.

    Raises:
        UsageError: A task is named twice.
        DataError: A file of tasks is not what it should be.
    """
    if text is None:
        return None
    names = named_tasks(name.strip() for name in text.split(","))
    if len(set(names)) < len(names):
        raise UsageError(f"expected each task once, found {text}")
    return names


def note_held_out(
    purpose: str,
    tasks: Iterable[str],
    programs: Iterable[str],
    seeds: int,
    *,
    finalists: Iterable[str] = (),
    plan: str = "",
) -> int:
    """Note a look at those of the tasks that are held out; return how many there were so far.

    Args:
        purpose: The command.
        tasks: Names of registered tasks.
        programs: Texts of what is evaluated.
        seeds: Paired seeds a task.
        finalists: What the claims will be about.
        plan: How they will be tested.
    """
    from evosearch.studies.held_out import log_file, note_look

    count = note_look(purpose, tasks, programs, seeds, finalists=finalists, plan=plan)
    if count:
        text = f"Look {count} at held-out tasks, noted in {log_file()}."
        progress_console().print(text, soft_wrap=True)
    return count
