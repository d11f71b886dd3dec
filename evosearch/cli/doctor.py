"""``evosearch doctor``: whether this installation can do its work."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from evosearch.cli.output import AsJson, print_json, progress_console, table, write
from evosearch.cli.tasks import task_names

if TYPE_CHECKING:
    from evosearch.doctor import Check

__all__ = ["doctor"]


def doctor(
    ray: Annotated[
        bool, typer.Option("--ray", help="Also start a Ray worker, which takes some seconds.")
    ] = False,
    address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Check every node of this Ray cluster instead."),
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Check these tasks alone, e.g. those in my_task.py."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check versions, cores, GPUs, data and disk; of your own tasks also what a candidate costs.

    Exit code 1 if there is a problem. A note concerns single tasks or speed only.

    Examples:
      evosearch doctor
      evosearch doctor --tasks my_task.py
      evosearch doctor --ray --json
      evosearch doctor --address 10.0.0.5:6379
    """
    from evosearch.doctor import diagnose

    checks: list[Check] = []
    with progress_console().status("checking") as status:  # on a terminal alone
        for check in diagnose(start_ray=ray, address=address, tasks=task_names(tasks)):
            checks.append(check)
            status.update(f"{len(checks)} checks done, the last: {check.name}")
    problems = sum(check.mark == "problem" for check in checks)
    if as_json:
        rows = [asdict(check) | {"mark": check.mark} for check in checks]
        print_json({"problems": problems, "checks": rows})
    else:
        rows = [(f.mark, f.name, f.found, f.problem) for f in checks]
        table(("", "what", "found", "what to do"), rows, left=("", "what", "found", "what to do"))
        write(f"\n{problems or 'No'} problem{'' if problems == 1 else 's'}.")
    if problems:
        raise typer.Exit(1)
