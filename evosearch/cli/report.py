"""``evosearch report``: a run, or several side by side, as one HTML page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from evosearch.cli import complete
from evosearch.cli.output import AsJson, print_json, tell, write
from evosearch.errors import UsageError
from evosearch.runs.run import Run

__all__ = ["report"]


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="The run directory; several, or a study's, make one page of all.",
            autocompletion=complete.run_directories,
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="By default report.html in the run or study, side-by-side.html here for several.",
        ),
    ] = None,
    curves: Annotated[
        bool,
        typer.Option("--curves", help="First train the find beside AdamW, Lion and Muon."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a run's report, one HTML page that needs no network; or one of several runs.

    An older report in the same place is replaced. Runs may still be going on. With --curves, the
    recommended candidate and its baselines are trained with a look at the validation metric on the
    way; that takes about as long as a few dozen candidates, and is kept in the run.

    Examples:
      evosearch report runs/quickstart-0
      evosearch report runs/quickstart-0 --curves
      evosearch report runs/quickstart-0 runs/quickstart-1 -o seeds.html
      evosearch report runs/rediscover-muon-from-adamw
    """
    from evosearch.errors import EvosearchError
    from evosearch.storage.atomic_write import write_atomic

    study = _members(runs[0]) if len(runs) == 1 else []
    if len(runs) == 1 and not study:
        path = output or runs[0] / "report.html"
        text = _of_one(runs[0], curves)
    elif curves:
        raise UsageError("expected one run with --curves, found several; ask for each by itself")
    elif study:
        path = output or runs[0] / "report.html"
        text = _of_several(runs[0].name, study, _summary(runs[0]))
    else:
        path = output or Path("side-by-side.html")
        named = zip(_names(runs), runs, strict=True)
        text = _of_several(f"{len(runs)} runs", [(name, run, "") for name, run in named], None)
    try:
        write_atomic(path, text)
    except OSError as error:
        raise EvosearchError(
            f"expected to write {path}, but: {error}; -o takes another place"
        ) from None
    if as_json:
        print_json({"file": str(path)})
    else:
        write(str(path))


def _of_one(directory: Path, curves: bool) -> str:
    from evosearch.report.render import render

    run = Run.open(directory)
    chosen = run.recommend() if curves else None
    if chosen is not None:
        from evosearch.report.curves import train_curves

        train_curves(run, chosen.candidate, tell)
    return render(run)


def _of_several(
    title: str, runs: Sequence[tuple[str, Path, str]], study: dict[str, Any] | None
) -> str:
    from evosearch.report.side_by_side import Side, side_by_side

    return side_by_side(title, [Side(name, Run.open(path), arm) for name, path, arm in runs], study)


def _members(directory: Path) -> list[tuple[str, Path, str]]:
    """Return a study's runs with their names and arms; none where it is a run, or nothing."""
    if (directory / "journal").exists():
        return []
    found = [path.parent for path in directory.glob("*/seed-*/journal")]
    found.sort(key=lambda p: (p.parent.name != "evolution", p.parent.name, len(p.name), p.name))
    return [(f"{p.parent.name}, {p.name.replace('-', ' ')}", p, p.parent.name) for p in found]


def _names(runs: Sequence[Path]) -> list[str]:
    """Return the ends of the paths, as long as it takes to tell them apart."""
    parts = [run.absolute().parts for run in runs]
    depth = next(
        (n for n in range(1, max(map(len, parts))) if len({p[-n:] for p in parts}) == len(parts)),
        max(map(len, parts)),
    )
    return ["/".join(p[-depth:]) for p in parts]


def _summary(directory: Path) -> dict[str, Any] | None:
    """Return what a study adds up to; None while it goes on.

    Raises:
        UsageError: Its summary is no JSON.
    """
    path = directory / "summary.json"
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UsageError(
            f"expected a study's summary in {path}, found something else: {error}; the command "
            "that made the study writes it again"
        ) from None
