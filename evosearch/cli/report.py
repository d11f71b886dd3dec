"""``evosearch report``: a run as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evosearch.cli.output import AsJson, RunPath, print_json, write
from evosearch.runs.run import Run

__all__ = ["report"]


def report(
    run: RunPath,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="By default report.html in the run."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a run's report, one HTML page that needs no network.

    An older report in the same place is replaced. The run may still be going on.

    Examples:
      evosearch report runs/quickstart-0
      evosearch report runs/quickstart-0 -o page.html
    """
    from evosearch.errors import EvosearchError
    from evosearch.report.render import render
    from evosearch.storage.atomic_write import write_atomic

    path = output or run / "report.html"
    page = render(Run.open(run))
    try:
        write_atomic(path, page)
    except OSError as error:
        raise EvosearchError(
            f"expected to write {path}, but: {error}; -o takes another place"
        ) from None
    if as_json:
        print_json({"file": str(path)})
    else:
        write(str(path))
