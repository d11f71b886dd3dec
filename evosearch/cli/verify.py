"""``evosearch verify``: whether a run is whole, and whether two runs are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evosearch.cli.output import AsJson, print_json, write
from evosearch.errors import CorruptArchive, UsageError

__all__ = ["verify"]

_DIFFERENT = 1


def verify(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run directories.")],
    same: Annotated[
        bool, typer.Option("--same", help="Compare the histories of two or more runs.")
    ] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Write the Parquet files again from the journal.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check that a run is whole, or that two are the same.

    A whole run has the bytes that were written, and a history that follows from its configuration.
    With --same, compare what configuration and seed determine: programs, scores, their order. Exit
    code 0: the same; 1: different, with the first difference.

    Examples:
      evosearch verify runs/quickstart-0
      evosearch verify --same runs/one-worker runs/two-workers
      evosearch verify --rebuild runs/quickstart-0
    """
    if same:
        _compare(runs, as_json)
        return
    if rebuild:
        from evosearch.storage.seal import rebuild as write_again

        for run in runs:
            write_again(run)
    reports = [_check(run) for run in runs]
    if as_json:
        print_json(reports)
        return
    for report in reports:
        write(
            f"{report['run']}: sound; {report['records']:,} records, {report['candidates']:,} "
            f"candidates, history {report['digest']}"
        )


def _check(run: Path) -> dict[str, object]:
    """Return what was found of a sound run.

    Raises:
        CorruptArchive: It is not sound.
    """
    from evosearch.evolution.loop import replay
    from evosearch.runs.run import Run
    from evosearch.storage.digest import digest
    from evosearch.storage.journal import Bodies, read
    from evosearch.storage.seal import verify as find_damage

    if findings := find_damage(run):
        raise CorruptArchive("\n".join(findings))
    opened = Run.open(run)
    replay(opened.config, Bodies(run))
    return {
        "run": str(run),
        "records": sum(1 for _ in read(run)),
        "candidates": len(opened.ledger.candidates),
        "digest": digest(read(run)),
    }


def _compare(runs: list[Path], as_json: bool) -> None:
    from evosearch.storage.digest import compare, digest
    from evosearch.storage.journal import read

    if len(runs) < 2:
        raise UsageError(f"--same compares two or more runs, found {len(runs)}; name another one")
    first, *others = runs
    differences = [(run, compare(read(first), read(run))) for run in others]
    different = [(run, difference) for run, difference in differences if difference]
    if as_json:
        print_json(
            {
                "same": not different,
                "digests": {str(run): digest(read(run)) for run in runs},
                "differences": {str(run): difference for run, difference in different},
            }
        )
    for run, difference in [] if as_json else different:
        write(f"{first} and {run} differ: {difference}")
    if not different and not as_json:
        write(f"The histories are the same: {digest(read(first))}")
    if different:
        raise typer.Exit(_DIFFERENT)
