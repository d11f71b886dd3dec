"""The commands, in the order in which `evosearch --help` lists them."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from evosearch.cli import inspect, search, verify
from evosearch.cli.failure import Commands

__all__ = ["app"]

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def main(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    """Search for optimizers: evolve symbolic update rules, export them as torch optimizers.

    Results go to stdout and progress to stderr. Exit codes: 0 done, 1 failed, 2 cannot be done as
    asked, 4 damaged archive, 130 interrupted with everything saved.

    \b
    Examples:
      evosearch search --preset quickstart     two minutes on two cores
      evosearch top runs/quickstart-0          what it found
      evosearch show lion                      a known optimizer in the same language
    """
    if debug:
        os.environ["EVOSEARCH_DEBUG"] = "1"


app.command()(search.search)
app.command()(search.resume)
app.command()(inspect.status)
app.command()(inspect.top)
app.command()(inspect.lineage)
app.command()(verify.verify)
