"""``evosearch doctor``: whether this installation can do its work."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from evosearch.cli.output import AsJson, print_json, table, write
from evosearch.cli.tasks import task_names

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

    checks = diagnose(start_ray=ray, address=address, tasks=task_names(tasks))
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
