"""``evosearch report``: a run as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evosearch.cli.output import AsJson, RunPath, print_json, tell, write
from evosearch.runs.run import Run

__all__ = ["report"]


def report(
    run: RunPath,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="By default report.html in the run."),
    ] = None,
    curves: Annotated[
        bool,
        typer.Option("--curves", help="First train the find beside AdamW, Lion and Muon."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a run's report, one HTML page that needs no network.

    An older report in the same place is replaced. The run may still be going on. With --curves, the
    recommended candidate and its baselines are trained with a look at the validation metric on the
    way; that takes about as long as a few dozen candidates, and is kept in the run.

    Examples:
      evosearch report runs/quickstart-0
      evosearch report runs/quickstart-0 --curves
      evosearch report runs/quickstart-0 -o page.html
    """
    from evosearch.errors import EvosearchError
    from evosearch.report.render import render
    from evosearch.storage.atomic_write import write_atomic

    path = output or run / "report.html"
    opened = Run.open(run)
    chosen = opened.recommend() if curves else None
    try:
        if chosen is not None:
            from evosearch.report.curves import train_curves

            train_curves(opened, chosen.candidate, tell)
        write_atomic(path, render(opened))
    except OSError as error:
        raise EvosearchError(
            f"expected to write {path}, but: {error}; -o takes another place"
        ) from None
    if as_json:
        print_json({"file": str(path)})
    else:
        write(str(path))
