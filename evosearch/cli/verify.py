"""``evosearch verify``: whether a run is whole, and whether two runs are the same."""

from __future__ import annotations

from collections.abc import Iterator
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
        bool, typer.Option("--rebuild", help="Write all files derived from the journal again.")
    ] = False,
    every_pack: Annotated[
        bool, typer.Option("--every-pack", help="Propose every pack again, not a sample of them.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check that a run is whole, or that two are the same.

    A whole run has the bytes that were written, derived files that say what the journal says, and a
    history that follows from its configuration: of a long one a sample of packs is proposed again.
    With --same, compare what configuration and seed determine: programs, scores, their order. Exit
    code 0: the same; 1: different, with the first difference.

    Examples:
      evosearch verify runs/quickstart-0
      evosearch verify --same runs/one-worker runs/two-workers
      evosearch verify --rebuild runs/quickstart-0
      evosearch verify --every-pack runs/quickstart-0
    """
    if same:
        _compare(runs, as_json)
        return
    if rebuild:
        from evosearch.runs.run import rebuild as write_again

        for run in runs:
            write_again(run)
    reports = [_check(run, every_pack) for run in runs]
    if as_json:
        print_json(reports)
        return
    for report in reports:
        write(
            f"{report['run']}: sound; {report['records']:,} records, {report['candidates']:,} "
            f"candidates, history {report['digest']}"
        )


def _check(run: Path, every_pack: bool) -> dict[str, object]:
    """Return what was found of a sound run.

    Raises:
        CorruptArchive: It is not sound.
    """
    from evosearch.config.schema import configure
    from evosearch.evolution.loop import SAMPLE, replay
    from evosearch.runs.history import History
    from evosearch.runs.run import hall_of_fame_rows
    from evosearch.storage.codec import Record
    from evosearch.storage.digest import Digest
    from evosearch.storage.hall_of_fame import find_flaws
    from evosearch.storage.journal import laid_out, scan
    from evosearch.storage.seal import checked

    findings: list[str] = []
    digest, total, candidates = Digest(), 0, 0
    every = 1 if every_pack else SAMPLE

    def records() -> Iterator[Record]:
        """Everything is checked in one pass."""
        nonlocal total, candidates
        for record in checked(run, findings):
            total = record.sequence
            digest.take(record)
            rows = record.body.get("candidates") if record.kind == "pack" else None
            candidates += len(rows) if isinstance(rows, list) else 0
            yield record

    first = next(scan(run))
    config = configure(dict(first.body["config"]), (), f"the configuration of {run}")
    passing = records()
    problem = None
    try:
        replay(config, (laid_out(r) for r in passing if r.sequence > 1), every)
    except CorruptArchive as error:
        problem = str(error)
    for _ in passing:
        pass
    findings += find_flaws(
        run, total, lambda sequence: hall_of_fame_rows(History.open(run, sequence))
    )
    if problem and problem not in findings:
        findings.append(problem)
    if findings:
        raise CorruptArchive("\n".join(findings))
    return {
        "run": str(run),
        "records": total,
        "candidates": candidates,
        "digest": digest.hexdigest(),
        "proposed_again": "all packs" if every == 1 else f"a sample of the packs, each {every}th",
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
