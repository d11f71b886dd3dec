"""``status``, ``top`` and ``lineage``: what a run has done; they only read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from evosearch.cli.output import AsJson, RunPath, print_hall_of_fame, print_json, table, write
from evosearch.runs.candidate import Candidate
from evosearch.runs.progress import duration, score_text
from evosearch.runs.run import Run

__all__ = ["lineage", "print_lineage", "status", "top"]


def status(run: RunPath, as_json: AsJson = False) -> None:
    """Say how far a run is, also while it goes on.

    Examples:
      evosearch status runs/quickstart-0
      evosearch status runs/quickstart-0 --json
    """
    opened = Run.open(run)
    history, manifest = opened.history, opened.manifest
    best, writer = history.best(), opened.writer
    budget = opened.budget
    if as_json:
        print_json(
            {
                "run": str(run),
                "state": opened.state,
                "writer": str(writer) if writer else None,
                "seed": manifest["seeds"]["run"],
                "created": manifest["created"],
                "evaluations": len(history.candidates),
                "budget": budget,
                "confirmations": history.confirmations,
                "packs": history.packs,
                "proposals": history.proposals,
                "cache_hits": history.cache_hits,
                "hit_rate": history.hit_rate,
                "statuses": history.statuses(),
                "faults": history.faults,
                "worker_seconds": history.worker_seconds,
                "baselines": {
                    task: {"program": baseline.program, "values": list(baseline.values)}
                    for task, baseline in history.baselines.items()
                },
                "best": best.to_json() if best else None,
            }
        )
        return
    cached = "" if history.hit_rate is None else f", {history.hit_rate:.1%} cache hits"
    counts = ", ".join(f"{n} {name}" for name, n in history.statuses().items())
    write(f"Run          {run} ({opened.state}{f' by {writer}' if writer else ''})")
    write(f"Started      {manifest['created']}, seed {manifest['seeds']['run']}")
    write(f"Tasks        {', '.join(history.baselines) or 'there are no baselines yet'}")
    write(f"Evaluated    {len(history.candidates):,} of {budget:,} ({counts or 'none yet'})")
    write(f"Re-evaluated {history.confirmations:,}")
    write(f"Proposed     {history.proposals:,}{cached}")
    write(f"Worker time  {duration(history.worker_seconds)}")
    if best:
        first = score_text(best.score, best.error)
        write(f"Best         {first} against AdamW, candidate {best.id}")
    for fault in history.faults:
        write(f"Fault        {fault}")
    if opened.state == "stopped":
        write(f"To go on: evosearch resume {run}")


def top(
    run: RunPath,
    n: Annotated[int, typer.Option("-n", "--number", min=1, help="How many.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Say which candidate of a run to use, and list the front and the best.

    The front: each is better than all of its size or smaller, of those evaluated on all tasks. The
    best: those that were evaluated again, on seeds that did not pick them, before those seen once,
    whose scores are partly luck.

    Examples:
      evosearch top runs/quickstart-0
      evosearch top runs/quickstart-0 -n 50 --json
    """
    opened = Run.open(run)
    confirmed, once = opened.top(n, confirmed=True), opened.top(n, confirmed=False)
    chosen = opened.recommend()
    use = None if chosen is None else chosen.candidate.id
    if as_json:
        best = (*confirmed, *once)
        print_json([c.to_json() | {"recommended": c.id == use} for c in best])
        return
    if chosen is not None:
        write(f"Use candidate {use}: {chosen.reason}.\n")
        write("The front: better than all of its size or smaller")
        _print_front(opened.front(), use)
        write()
    if confirmed:
        write("Confirmed: evaluated again, on seeds that did not pick them")
        print_hall_of_fame(confirmed)
    if once:
        write(("\n" if confirmed else "") + "Seen once: on the seeds that picked them")
        print_hall_of_fame(once)
    if not confirmed and not once:
        write("No candidate has a score yet.")
    write(f"\nForesight: {opened.foresight} (`evosearch calibrate`).")


def _print_front(candidates: Sequence[Candidate], use: int | None) -> None:
    columns = ("", "id", "score ± se", "seeds", "statements", "state", "cost", "recognized as")
    rows = [
        (
            ">" if c.id == use else "" if c.confirmed else "?",
            c.id,
            score_text(c.score, c.error),
            c.seeds,
            c.statements,
            f"{c.state_memory:g}",
            f"{c.cost:.3g}",
            c.recognized.title if c.recognized else "",
        )
        for c in candidates
    ]
    table(columns, rows, left=("", "recognized as"))
    if any(not c.confirmed for c in candidates):
        write("? seen once")


def lineage(
    run: RunPath,
    id_: Annotated[int, typer.Argument(metavar="ID", help="A candidate's id.")],
    as_json: AsJson = False,
) -> None:
    """List what a candidate descends from, itself first.

    Examples:
      evosearch lineage runs/quickstart-0 42
    """
    ancestors = Run.open(run).history.ancestors(id_)
    if as_json:
        print_json([candidate.to_json() for candidate in ancestors])
    else:
        print_lineage(ancestors)


def print_lineage(ancestors: list[Candidate]) -> None:
    """Print candidates with their parents and how they were made."""
    columns = ("id", "parents", "score ± se", "statements", "made by")
    rows = [
        (
            candidate.id,
            ", ".join(map(str, candidate.parents)) or "none",
            score_text(candidate.score, candidate.error),
            candidate.statements,
            candidate.mutation,
        )
        for candidate in ancestors
    ]
    table(columns, rows, left=("made by",))
