"""``evosearch rediscover``: how often the search finds a known optimizer, and at what cost."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from evosearch.cli.interrupt import INTERRUPTED, interruptible
from evosearch.cli.output import AsJson, print_json, progress_console, write
from evosearch.errors import UsageError
from evosearch.language.library import Use, sought, used_as

if TYPE_CHECKING:
    from evosearch.studies.rediscovery.study import Trial
    from evosearch.studies.rediscovery.verdict import Verdict

__all__ = ["rediscover"]

_INTERVAL: Final = 20.0
"""Seconds between lines about a search that goes on."""


def _one_of(names: tuple[str, ...]) -> Callable[[str | None], str | None]:
    """Return a check that an argument, if there is one, is one of the names."""

    def check(word: str | None) -> str | None:
        if word is not None and word not in names:
            raise typer.BadParameter(f"expected one of {', '.join(names)}, found {word!r}")
        return word

    return check


def rediscover(
    target: Annotated[
        str,
        typer.Argument(
            metavar=f"[{'|'.join(sought())}]",
            callback=_one_of(sought()),
            help="What to look for.",
            show_default=False,
        ),
    ],
    *,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar=f"[{'|'.join(used_as(Use.START))}]",
            callback=_one_of(used_as(Use.START)),
            help="The program that every search begins with; by default the preset's.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Independent searches.")] = 10,
    first_seed: Annotated[int, typer.Option(min=0, help="The first seed; the others follow.")] = 0,
    budget: Annotated[
        int | None, typer.Option(min=1, help="Evaluations of a search; by default the preset's.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Searches side by side; by default one for each core."),
    ] = None,
    controls: Annotated[
        bool,
        typer.Option(
            help="Also search without tuning, at random with and without, by size, and tune alone."
        ),
    ] = True,
    control_seeds: Annotated[int, typer.Option(min=1, help="Seeds of each control.")] = 3,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Where everything goes; by default below runs/.")
    ] = None,
    wide: Annotated[
        bool, typer.Option("--wide", help="Lion among all elementwise ops, none left out.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the preset."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Search for a known optimizer, or an idea, many times, and count how often it is found.

    Every seed is a run of its own in the directory. Give the same command again to go on after an
    interruption, or with more seeds; what was finished is not run again.

    Examples:
      evosearch rediscover muon --seeds 3 --no-controls
      evosearch rediscover lion --from momentum --seeds 10 --first-seed 100
      evosearch rediscover muon --seeds 10 --dir runs/muon --json
    """
    from evosearch.config.preflight import check_search
    from evosearch.config.schema import PRESETS, preset
    from evosearch.hardware import cores
    from evosearch.studies.rediscovery.study import Study, run_trials
    from evosearch.studies.rediscovery.summary import markdown, summarize, write_summary

    changes = [*(settings or []), *([] if budget is None else [f"budget.evaluations={budget}"])]
    name = f"rediscover-{target}{'-wide' if wide else ''}"
    if name not in PRESETS:
        raise UsageError(f"expected --wide with lion, found it with {target}; leave it out")
    config = preset(name, changes)
    check_search(config)
    start = start or config.start
    numbers = range(first_seed, first_seed + seeds)
    where = directory or Path("runs") / f"{name}-from-{start}"
    study = Study(
        target=target,
        directory=where,
        config=config,
        start=start,
        seeds=tuple(numbers),
        control_seeds=tuple(numbers[:control_seeds]) if controls else (),
    )
    trials = study.trials()
    console = progress_console()
    done, lines = 0, {trial.directory: time.monotonic() for trial in trials}

    def report(trial: Trial, evaluated: int, verdict: Verdict | None) -> None:
        nonlocal done
        now = time.monotonic()
        if verdict is not None:
            done += 1
            console.print(f"{done} of {len(trials)}: {_sentence(trial, verdict)}", soft_wrap=True)
        elif now - lines[trial.directory] > _INTERVAL:
            lines[trial.directory] = now
            of = f"{evaluated:,} of {trial.config.budget.evaluations:,} evaluated"
            console.print(f"{trial.title}: {of}", soft_wrap=True)

    console.print(f"{len(trials)} searches in {where}", soft_wrap=True)
    try:
        with interruptible():
            verdicts = run_trials(trials, workers or cores(), report)
    except KeyboardInterrupt:
        print(
            "Interrupted; everything committed is saved. To go on, give the same command: "
            f"{shlex.join(['evosearch', *sys.argv[1:]])}",
            file=sys.stderr,
        )
        raise typer.Exit(INTERRUPTED) from None
    summary = summarize(study, verdicts)
    write_summary(where, summary)
    if as_json:
        print_json(summary.to_json())
    else:
        write(markdown(summary).rstrip())


def _sentence(trial: Trial, verdict: Verdict) -> str:
    first = verdict.first or verdict.family_first
    if first is None:
        found = "not found" if verdict.closest is None else "beaten by what is no larger"
        return f"{trial.title}: {found}, {verdict.core_seconds:.0f} core-seconds"
    kind = "found" if verdict.strict else "family only, found"
    return (
        f"{trial.title}: {kind} after {first.evaluations:,} evaluations, "
        f"{first.core_seconds:.0f} of {verdict.core_seconds:.0f} core-seconds"
    )
