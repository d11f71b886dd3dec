"""How a command fails: one paragraph on stderr and an exit code; a traceback only with --debug."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any, Final

import typer
from typer.core import TyperGroup

from evosearch.errors import EvosearchError

__all__ = ["INTERRUPTED", "Commands", "report_failure"]

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C, as shells have it: 128 + SIGINT."""

_INTERNAL: Final = 1


class Commands(TyperGroup):
    """A group of commands whose errors are messages."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except EvosearchError as error:
            raise typer.Exit(report_failure(error, str(error), error.exit_code)) from None
        except KeyboardInterrupt as error:
            raise typer.Exit(report_failure(error, "interrupted", INTERRUPTED)) from None
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if type(error).__module__.startswith("typer."):
                raise  # usage errors, which typer explains itself
            message = (
                f"internal error, {type(error).__name__}: {error}. That is a defect of evosearch; "
                "with --debug before the command there is a traceback to report"
            )
            raise typer.Exit(report_failure(error, message, _INTERNAL)) from None


def report_failure(error: BaseException, message: str, code: int) -> int:
    """Print an error's message, and with --debug its traceback; return the exit code."""
    if os.environ.get("EVOSEARCH_DEBUG"):
        traceback.print_exception(error)
    print(f"evosearch: {message}", file=sys.stderr)
    return code
