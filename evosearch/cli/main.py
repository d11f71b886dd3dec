"""The commands, in the order in which `evosearch --help` lists them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated

import typer

from evosearch.cli import (
    baselines,
    calibrate,
    catalogue,
    compare,
    doctor,
    evaluate,
    new,
    promote,
    reading,
    rediscover,
    report,
    rewriting,
    scale,
    search,
    show,
    transfer,
    verify,
    watch,
)
from evosearch.cli.failure import Commands
from evosearch.cli.output import write

__all__ = ["app"]

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from evosearch.storage.codec import writer

        write(writer())
        raise typer.Exit


def main(
    _debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Search for optimizers: evolve symbolic update rules, export them as torch optimizers.

    Results go to stdout and progress to stderr. Exit codes: 0 done, 1 failed, 2 cannot be done as
    asked, 130 interrupted with everything saved.

    Examples:
      evosearch search --preset quickstart     a minute or so on two cores
      evosearch top runs/quickstart-0          what it found
      evosearch show lion                      a known optimizer in the same language
    """  # what becomes of --debug, see evosearch.cli.failure


def _help(command: Callable[..., None]) -> str:
    """Return the help text of a command, marked so that its examples keep their lines."""
    return (inspect.getdoc(command) or "").replace("Examples:\n", "\b\nExamples:\n")


app.callback(help=_help(main))(main)
for command in (
    search.search,
    search.resume,
    new.new,
    reading.status,
    watch.watch,
    reading.top,
    show.show,
    show.diff,
    rewriting.simplify,
    rewriting.export,
    evaluate.evaluate,
    compare.compare,
    reading.lineage,
    report.report,
    transfer.transfer,
    promote.promote,
    scale.scale,
    calibrate.calibrate,
    rediscover.rediscover,
    baselines.baselines,
    catalogue.tasks,
    catalogue.primitives,
    verify.verify,
    doctor.doctor,
):
    app.command(help=_help(command))(command)
