"""Arguments and options of commands about one program."""

from __future__ import annotations

from typing import Annotated

import typer

from evosearch.cli import complete

__all__ = ["AsGenome", "Words"]

Words = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN ID | FILE | NAME",
        help="A run's candidate (without ID its best), a program file, or a known optimizer.",
        autocompletion=complete.programs,
    ),
]
"""The argument that `evosearch.runs.named_program.resolve` reads."""

AsGenome = Annotated[
    bool,
    typer.Option(
        "--genome", help="Of a candidate, its genome: with the statements that change nothing."
    ),
]
"""The option that makes it read a candidate's genome."""
