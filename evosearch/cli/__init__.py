"""The command line: ``evosearch COMMAND``; results on stdout, progress and errors on stderr."""

from __future__ import annotations

import sys
from io import TextIOWrapper

__all__ = ["main"]


def main() -> None:
    """Run the command line; the entry point of the ``evosearch`` script."""
    from evosearch.cli.interrupt import INTERRUPTED

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # where the locale has no ±
    try:
        from evosearch.cli.main import app

        app(prog_name="evosearch")
    except KeyboardInterrupt:  # while it was imported
        print("evosearch: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
