"""How a command fails: one paragraph on stderr and an exit code; a traceback only with --debug."""

from __future__ import annotations

import signal
import sys
import traceback
from contextlib import suppress
from typing import Any, Final

import typer
from typer.core import TyperGroup

from evosearch.cli.interrupt import INTERRUPTED, interruptible
from evosearch.cli.output import JSON, OutputError, flush, print_json, tell
from evosearch.errors import EvosearchError

__all__ = ["Commands"]

_INTERNAL: Final = 1
_USAGE: Final = 2


class Commands(TyperGroup):
    """A group of commands whose errors are messages."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            with interruptible():
                result = super().invoke(ctx)
            flush()
            return result
        except EvosearchError as error:
            raise typer.Exit(_report(error, str(error), error.exit_code, ctx)) from None
        except KeyboardInterrupt as error:
            raise typer.Exit(_report(error, "interrupted", INTERRUPTED, ctx)) from None
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except SystemExit as error:
            if error.code != signal.SIGTERM:
                raise
            # Ray has a handler of its own while it starts, which leaves with the signal's number.
            raise typer.Exit(_report(error, "interrupted", INTERRUPTED, ctx)) from None
        except Exception as error:
            if type(error).__module__.startswith("typer."):
                raise  # usage errors, which typer explains itself
            if _is_task_data(error):
                raise typer.Exit(_report(error, str(error), _USAGE, ctx)) from None
            message = (
                f"internal error, {type(error).__name__}: {error}. That is a defect of evosearch; "
                "with --debug before the command there is a traceback to report"
            )
            raise typer.Exit(_report(error, message, _INTERNAL, ctx)) from None


def _is_task_data(error: Exception) -> bool:
    """Whether a task's files cannot be read: the user's own ones are when tasks are listed."""
    module = sys.modules.get("proxy_tasks.data.cache")  # where it was not imported, nothing was
    return module is not None and isinstance(error, module.TaskDataError)


def _report(error: BaseException, message: str, code: int, ctx: Any) -> int:
    """Print an error's message, perhaps after its traceback, and return the exit code.

    With --json an object with the `error` goes to stdout besides, where the results would be.
    """
    if ctx.params["_debug"]:
        traceback.print_exception(error)
    if ctx.meta.get(JSON):
        told = {"kind": type(error).__name__, "message": message, "exit_code": code}
        with suppress(OutputError):  # what cannot be printed is what the message is about
            print_json({"error": told})
    tell(f"evosearch: {message}")
    return code
