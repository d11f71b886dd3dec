"""``evosearch watch``: a run that goes on in another process, seen from here."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from evosearch.cli.front_view import FrontView
from evosearch.cli.interrupt import INTERRUPTED
from evosearch.cli.output import AsJson, RunPath, flush, table, tell, write
from evosearch.runs.candidate import Candidate
from evosearch.runs.printable import plain
from evosearch.runs.progress import duration, score_text
from evosearch.runs.watch import Sight, Watch

__all__ = ["render", "watch"]

_COLUMNS = ("id", "score ± se", "rounds", "statements", "states")


def watch(
    run: RunPath,
    every: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Time between two updates.")
    ] = 5.0,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve its report to a browser on this machine.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="For --serve; 0: any free one.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Watch a run that goes on in another process, until it ends.

    The best five, and the best of each size or smaller. It only reads, each time what is new;
    Ctrl-C ends the watching and not the run. With --json, each update is one object on a line.

    Examples:
      evosearch watch runs/quickstart-0
      evosearch watch runs/quickstart-0 --serve --port 8000
      evosearch watch runs/quickstart-0 --every 60 --json >> progress.jsonl
    """
    if serve:
        _serve(run, port, as_json)
        return
    watching = Watch(run)
    with _screen(run, as_json) as show:
        try:
            while True:
                sight = watching.look(time.monotonic())
                show(sight)
                if sight.state != "running":
                    break
                time.sleep(every)
        except KeyboardInterrupt:
            tell("No longer watching; the run goes on.")
            raise typer.Exit(INTERRUPTED) from None
    if as_json:
        return
    if not sys.stdout.isatty():
        for title, candidates in _lists(sight):
            write(f"\n{title}")
            table(_COLUMNS, _rows(candidates))
    if sight.state == "stopped":
        write(f"To go on: evosearch resume {shlex.quote(str(run))}")


def _serve(run: Path, port: int, as_json: bool) -> None:
    """Serve a run's report until Ctrl-C."""
    from evosearch.report.live import HOST, LivePage, live_server

    with live_server(LivePage(run), port) as server:
        address = f"http://{HOST}:{server.server_port}/"
        write(json.dumps({"address": address}) if as_json else address)
        flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            tell("No longer served; the run goes on.")
            raise typer.Exit(INTERRUPTED) from None


def _screen(run: Path, as_json: bool) -> AbstractContextManager[Callable[[Sight], None]]:
    """Return what shows a look: a line of JSON, a line of text, or a view in place."""
    if as_json or not sys.stdout.isatty():
        return nullcontext(_print_json if as_json else _print_line)
    return _LiveView(run)


def _print_json(sight: Sight) -> None:
    write(json.dumps(sight.to_json(), allow_nan=False))
    sys.stdout.flush()


def _print_line(sight: Sight) -> None:
    write("; ".join([sight.state, *_facts(sight).values()]))
    sys.stdout.flush()


class _LiveView:
    """A view that is updated in place."""

    def __init__(self, run: Path) -> None:
        self._title = str(run)
        console = Console(highlight=False, markup=False, emoji=False)
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Callable[[Sight], None]:
        self._live.start()
        return self._show

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def _show(self, sight: Sight) -> None:
        self._live.update(render(f"{self._title} ({sight.state})", sight), refresh=True)


def render(title: str, sight: Sight) -> RenderableType:
    """Return a look as a page of a terminal."""
    facts = Table.grid(padding=(0, 2))
    done = len(sight.history.candidates)
    facts.add_row("", ProgressBar(total=sight.budget, completed=done, width=40))
    for label, text in _facts(sight).items():
        facts.add_row(label, Text(text.removeprefix(f"{label} ")))
    if sight.history.faults:
        last = f"{len(sight.history.faults)}, last: {plain(sight.history.faults[-1])}"
        facts.add_row("faults", Text(last, style="yellow"))
    parts: list[RenderableType] = [Text(plain(title), style="bold"), facts]
    parts.append(FrontView(sight.front))
    if sight.top:
        listed = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        for column in _COLUMNS:
            listed.add_column(column, justify="right")
        for row in _rows(sight.top):
            listed.add_row(*map(str, row))
        parts += [Text("\nThe best", style="bold"), listed]
    return Group(*parts)


def _facts(sight: Sight) -> dict[str, str]:
    """Return what there is to say, by label."""
    history = sight.history
    again = f", {history.confirmations:,} re-evaluated" if history.confirmations else ""
    cached = "" if history.hit_rate is None else f", {history.hit_rate:.0%} cache hits"
    facts = {
        "evaluated": f"{len(history.candidates):,} of {sight.budget:,} candidates{again}",
        "proposed": f"{history.proposals:,} proposals{cached}",
    }
    if sight.rate:
        left = f", about {duration(sight.left)} left" if sight.left else ""
        facts["rate"] = f"{60 * sight.rate:.1f} candidates a minute{left}"
    if sight.top:
        best = sight.top[0]
        facts["best"] = f"best {score_text(best.score, best.error)} against AdamW, #{best.id}"
    return facts


def _lists(sight: Sight) -> list[tuple[str, Sequence[Candidate]]]:
    """Return the lists of candidates, those that are not empty."""
    lists = [("The best", sight.top), ("The best of each size or smaller", sight.front)]
    return [(title, candidates) for title, candidates in lists if candidates]


def _rows(candidates: Sequence[Candidate]) -> list[tuple[object, ...]]:
    return [
        (c.id, score_text(c.score, c.error), c.rounds, c.statements, c.states) for c in candidates
    ]
