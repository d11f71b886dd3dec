"""``evosearch doctor``: whether this installation can do its work."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from evosearch.cli.output import AsJson, print_json, table, write

__all__ = ["doctor"]


def doctor(
    ray: Annotated[
        bool, typer.Option("--ray", help="Also start a Ray worker, which takes some seconds.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check versions, cores, GPUs, data and disk.

    Exit code 1 if there is a problem. A note concerns single tasks or speed only.

    Examples:
      evosearch doctor
      evosearch doctor --ray --json
    """
    from evosearch.doctor import diagnose

    findings = diagnose(start_ray=ray)
    problems = sum(finding.mark == "problem" for finding in findings)
    if as_json:
        rows = [asdict(finding) | {"mark": finding.mark} for finding in findings]
        print_json({"problems": problems, "findings": rows})
    else:
        rows = [(f.mark, f.subject, f.found, f.problem) for f in findings]
        table(("", "what", "found", "what to do"), rows, left=("", "what", "found", "what to do"))
        write(f"\n{problems or 'No'} problem{'' if problems == 1 else 's'}.")
    if problems:
        raise typer.Exit(1)
