"""``evosearch promote``: finalists on tasks that took no part in finding them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evosearch.cli.conditions import note_held_out
from evosearch.cli.named_program import NamedProgram, resolve
from evosearch.cli.output import AsJson, print_json, progress_console, table, write
from evosearch.errors import DataError, UsageError
from evosearch.runs.progress import score_text
from evosearch.workers.start import start_workers

if TYPE_CHECKING:
    from evosearch.studies.promote import Promotion

__all__ = ["promote"]


def promote(
    finalists: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN ID... | FINALIST...",
            help="A run and its candidates, or each a RUN:ID, a program file or a known optimizer.",
        ),
    ],
    *,
    tasks: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Tasks; by default all of both splits but the large."),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=2, help="Paired seeds a task to test on, and as many to tune on.")
    ] = 8,
    seed: Annotated[int, typer.Option(help="What they are drawn from; never a search's.")] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key, e.g. evaluation.rates=7."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes; 1: no Ray.")] = 1,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the JSON here, too."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Test finalists against tuned AdamW, Lion and Muon on select and held-out tasks.

    Finalists keep their constants; each baseline is the best of ten settings on each task.
    Differences are paired by seed, tests one-sided, p values corrected for all comparisons (Holm);
    "better" means p < 0.01. Every use of held-out tasks is noted in ./held_out.jsonl.

    Examples:
      evosearch promote runs/quickstart-0 42 17
      evosearch promote my_optimizer.program runs/first:12 --tasks digits_vit,zipf_bigram_large
    """
    from evosearch.config.preflight import check_tasks
    from evosearch.config.schema import configure
    from evosearch.storage.atomic_write import write_atomic
    from evosearch.studies.promote import promote as test

    subjects = _subjects(finalists)
    splits = _splits(tasks)
    names = [name for found in splits.values() for name in found]
    config = configure({"tiers": [{"tasks": names}]}, settings or [], "the promotion")
    check_tasks(config)
    programs = {subject.label: str(subject.program) for subject in subjects}
    console = progress_console()
    count = note_held_out("promote", names, programs.values(), seeds)
    with start_workers(workers, None, 0.0, config) as executor:
        promotion = test(
            programs, splits, config, executor, seeds=seeds, seed=seed, report=console.print
        )
    result = promotion.to_json() | {"look": count, "settings": settings or []}
    if output is not None:
        try:
            write_atomic(output, json.dumps(result, indent=1) + "\n")
        except OSError as error:
            raise UsageError(f"expected to write {output}, but: {error}") from None
    if as_json:
        print_json(result)
    else:
        _print(promotion)


def _subjects(words: Sequence[str]) -> list[NamedProgram]:
    """Return the finalists: RUN ID ID..., or one a word."""
    run, *ids = words
    if ids and Path(run).is_dir() and all(word.removeprefix("#").isdigit() for word in ids):
        return [resolve([run, id_]) for id_ in ids]
    subjects = [resolve([word]) for word in words]
    labels = [subject.label for subject in subjects]
    if len(set(labels)) < len(labels):
        raise UsageError(f"expected each finalist once, found {', '.join(labels)}")
    return subjects


def _splits(tasks: str | None) -> dict[str, list[str]]:
    """Return the tasks by split: those named, or all that are not large and have their data."""
    from evosearch.config.preflight import check_task
    from proxy_tasks.registry import TASKS
    from proxy_tasks.task import Split, Tier

    if tasks is not None:
        names = [name.strip() for name in tasks.split(",")]
        unknown = [name for name in names if name not in TASKS]
        if unknown or len(set(names)) < len(names):
            raise UsageError(
                f"expected names of tasks, each once, found {tasks}; `evosearch tasks` lists them"
            )
    else:
        names = []
        for name, spec in TASKS.items():
            try:
                if spec.split is not Split.SEARCH and spec.task.tier is not Tier.LARGE:
                    check_task(name, {})
                    names.append(name)
            except DataError:
                continue  # its data is not here
    found: dict[str, list[str]] = {}
    for split in Split:
        chosen = [name for name in names if TASKS[name].split is split]
        if chosen:
            found[split.value] = chosen
    return found


def _print(promotion: Promotion) -> None:
    for split, tasks in promotion.splits.items():
        write(f"{split.capitalize()} tasks: {', '.join(tasks)}; {promotion.seeds} seeds each\n")
        totals = {label: promotion.total(label, split) for label in promotion.scores}
        rows = [(label, score_text(*total)) for label, total in totals.items()]
        table(("optimizer", "score ± se"), rows, left=("optimizer",))
        write()
        found = [finding for finding in promotion.findings if finding.split == split]
        tests = [
            (
                finding.finalist,
                finding.baseline,
                score_text(finding.lead.mean, finding.lead.error),
                f"{finding.p:.2g}",
                "better" if finding.better else "",
            )
            for finding in found
        ]
        columns = ("finalist", "against", "ahead ± se", "p (Holm)", "")
        table(columns, tests, left=("finalist", "against", ""))
        write()
