"""The command line: ``evosearch COMMAND``; results on stdout, progress and errors on stderr."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line; the entry point of the ``evosearch`` script."""
    from evosearch.cli.main import app

    app(prog_name="evosearch")
