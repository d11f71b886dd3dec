"""``evosearch scale``: whether what was found holds on a task much larger than the search's."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from evosearch.cli.interrupt import INTERRUPTED, interruptible
from evosearch.cli.output import AsJson, print_json, progress_console, table, write
from evosearch.cli.tasks import note_held_out
from evosearch.errors import UsageError
from evosearch.runs.named_program import resolve

if TYPE_CHECKING:
    from evosearch.config.schema import Config
    from evosearch.studies.scale.lane import Lane, LaneResult
    from evosearch.studies.scale.lr_search import TaskScores
    from evosearch.studies.scale.protocol import ScaleTest
    from evosearch.studies.scale.summary import ScaleSummary

__all__ = ["scale"]

_LOOK: Final = "look.json"
_NO_SEARCH: Final = "none"


def scale(
    finalists: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FINALIST...]",
            help="Each a RUN or RUN:ID, a program file, a known optimizer or a discovered/*.json.",
        ),
    ] = None,
    *,
    task: Annotated[str, typer.Option(help="The large task.")] = "char_lm_scale",
    seeds: Annotated[int, typer.Option(min=2, help="Paired seeds to test on.")] = 5,
    trials: Annotated[
        int | None,
        typer.Option(
            min=5,
            help="Settings that each may try; by default 16, or 64 where constants are tuned.",
            show_default=False,
        ),
    ] = None,
    tune_constants: Annotated[
        bool,
        typer.Option("--tune-constants", help="Tune everybody's constants beside their rates."),
    ] = False,
    fine: Annotated[
        bool, typer.Option("--fine", help="Refine rates to a factor of the square root of 2.")
    ] = False,
    tuning_seeds: Annotated[
        int, typer.Option(min=1, help="Seeds to tune on, apart from those to test on.")
    ] = 1,
    seed: Annotated[int, typer.Option(help="What the seeds are drawn from.")] = 0,
    at: Annotated[
        list[float] | None,
        typer.Option(help="Share of AdamW's steps whose loss is the target; default 1.0."),
    ] = None,
    search: Annotated[
        str,
        typer.Option(
            metavar="PRESET", help="The search whose score is put beside it; `none`: no score."
        ),
    ] = "quickstart",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="E.g. tasks.char_lm_scale.batch=4."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Where lanes are kept; by default below runs/.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what it would cost and stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare finalists with SGD momentum, AdamW, Lion and Muon on a much larger task, all tuned.

    Everybody has the same number of trials on the same seeds, by coordinate descent over learning
    rates (hidden matrices' and the rest's) and, with --tune-constants, over every constant: a
    baseline's over its family, a finalist's around its own. The best is trained on other seeds.
    Reports steps to AdamW's end value, end values, and the rank correlation with the score of a
    search. --plan says the most that it costs.

    Every training run is kept in the directory. Give the same command again to go on after an
    interruption, or with more finalists, seeds or trials.

    Examples:
      evosearch scale --plan
      evosearch scale runs/quickstart-0 my_optimizer.program --workers 8
      evosearch scale discovered/short_muon.json --tune-constants --fine --tuning-seeds 2
      evosearch scale discovered/*.json --set tasks.char_lm_scale.batch=4 --seeds 6
    """
    from evosearch.config.preflight import check_tasks
    from evosearch.config.schema import configure, preset
    from evosearch.language.parse import parse_rules
    from evosearch.studies.compare import tunable
    from evosearch.studies.scale.protocol import ScaleTest
    from evosearch.training.tuner import Descent

    shares = at or [1.0]
    if not all(0.0 < share <= 1.0 for share in shares):
        raise UsageError(f"expected --at above 0 and up to 1, found {shares}")
    config = configure({"tiers": [{"tasks": [task]}]}, settings or [], "the scale test")
    check_tasks(config)
    small = None if search == _NO_SEARCH else preset(search)
    if small is not None:
        check_tasks(small)
    ref = config.task(task)
    programs = _programs(finalists or [])
    optimizers = {
        label: tunable(parse_rules(text), constants=tune_constants)
        for label, text in programs.items()
    }
    descent = Descent(trials or (64 if tune_constants else 16), fine)
    test = ScaleTest(ref, optimizers, seeds, tuning_seeds, descent, seed)
    where = directory or Path("runs") / f"scale-{task}"
    cost = _cost(test, small, where)
    if plan:
        write(cost)
        return
    progress_console().print(cost, soft_wrap=True)
    try:
        with interruptible():
            summary = _measure(test, programs, small, where, workers=workers, at=shares)
    except KeyboardInterrupt:
        print(
            "Interrupted; every finished training run is saved. To go on, give the same command: "
            f"{shlex.join(['evosearch', *sys.argv[1:]])}",
            file=sys.stderr,
        )
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json(summary.to_json())
    else:
        _print(summary)


def _programs(words: Sequence[str]) -> dict[str, str]:
    """Return the baselines and then the finalists, texts by label, each program once."""
    from evosearch.language.known import known
    from evosearch.studies.scale.protocol import BASELINES

    programs = {name: str(known(name)) for name in BASELINES}
    for word in words:
        label, text = _finalist(word)
        if text in programs.values():
            continue  # a baseline, or the same again
        if label in programs:
            raise UsageError(f"expected each finalist under a name of its own, found {label} twice")
        programs[label] = text
    return programs


def _finalist(word: str) -> tuple[str, str]:
    """Return a label and a program's text."""
    path, found = Path(word), resolve([word])
    plain = path.is_file() and path.suffix != ".json"
    return path.stem if plain else found.label, str(found.program)


def _cost(test: ScaleTest, small: Config | None, where: Path) -> str:
    """Return how large the test is and what it costs, in words."""
    from evosearch.studies.scale.protocol import cost
    from evosearch.studies.scale.result import searched
    from evosearch.studies.scale.table import size

    task, found = test.problem, cost(test, where)
    parameters = sum(parameter.numel for parameter in task.parameters)
    scale = size(parameters, task.steps, None if small is None else searched(small))
    on = "1 tuning seed" if test.tuning_seeds == 1 else f"{test.tuning_seeds} tuning seeds"
    each = found.seconds.values()
    searching = ", and some for the search's tasks" if small else ""
    return (
        f"{test.task}: {scale}. {len(test.optimizers)} optimizers, each with up to "
        f"{test.descent.trials} trials on {on} and {test.seeds} further seeds: up to "
        f"{sum(found.lanes.values())} training runs beyond what is in {where}, "
        f"{min(each):.0f} to {max(each):.0f} s each, about {found.total / 60:.0f} core-minutes in "
        f"all{searching}."
    )


def _measure(
    test: ScaleTest,
    programs: Mapping[str, str],
    small: Config | None,
    where: Path,
    *,
    workers: int,
    at: Sequence[float],
) -> ScaleSummary:
    """Train what is missing and return the result."""
    from evosearch.runs.manifest import versions
    from evosearch.storage.atomic_write import write_atomic
    from evosearch.studies.baseline_board import text
    from evosearch.studies.scale.protocol import run
    from evosearch.studies.scale.result import summarize

    console = progress_console()

    def report(label: str, lane: Lane, result: LaneResult) -> None:
        rate = lane.rates.matrix or lane.rates.rest
        kind = "test" if lane.test else f"trial with rate {rate:.2g}"
        ended = f"{result.value:.4f} in {result.seconds:.0f} s"
        console.print(f"{label}, {kind}, seed {lane.replicate}: {ended}", soft_wrap=True)

    where.mkdir(parents=True, exist_ok=True)
    count = _look(test, programs, where)
    scores = {} if small is None else _scores(test, programs, small, where, workers)
    contestants = run(test, where, workers=workers, report=report)
    kept = {k: v for k, v in versions().items() if k in ("python", "torch")}
    summary = summarize(test, contestants, scores, small, at)
    summary = replace(summary, look=count, versions=kept)
    write_atomic(where / "result.json", text(summary.to_json()))
    return summary


def _scores(
    test: ScaleTest, programs: Mapping[str, str], small: Config, where: Path, workers: int
) -> dict[str, TaskScores]:
    """Return how everybody scores on the search's tasks, tuned as far as in the test."""
    from evosearch.studies.scale.lr_search import search_scores
    from evosearch.workers.start import start_workers

    constants = any(optimizer.axes for optimizer in test.optimizers.values())
    path = where / f"search{'-tuned' if constants else ''}.json"
    report = progress_console().print
    with start_workers(workers, None, 0.0, small) as executor:
        return search_scores(
            programs,
            small,
            executor,
            path,
            constants=constants,
            seed=test.seed,
            report=report,
        )


def _look(test: ScaleTest, by_label: Mapping[str, str], where: Path) -> int:
    """Note the use of a held-out task, unless the one noted for this directory covers it."""
    from evosearch.storage.atomic_write import write_atomic
    from evosearch.studies.scale.protocol import BASELINES

    path, programs = where / _LOOK, sorted(by_label.values())
    if path.is_file():
        noted = json.loads(path.read_text(encoding="utf-8"))
        if set(programs) <= set(noted["of"]["programs"]) and test.seeds <= noted["of"]["seeds"]:
            return noted["look"]
    finalists = [label for label in test.optimizers if label not in BASELINES]
    tuned = "rates and constants" if any(o.axes for o in test.optimizers.values()) else "rates"
    plan = (
        f"{tuned} tuned with {test.descent.trials} trials each on {test.tuning_seeds} seeds; "
        "one-sided paired t test over seeds against the best of the baselines, Holm over finalists"
    )
    count = note_held_out(
        "scale", [test.task.name], programs, test.seeds, finalists=finalists, plan=plan
    )
    of = {"programs": programs, "seeds": test.seeds}
    write_atomic(path, json.dumps({"look": count, "of": of}) + "\n")
    return count


def _print(summary: ScaleSummary) -> None:
    from evosearch.studies.scale.paired import sentence
    from evosearch.studies.scale.table import (
        COLUMNS,
        WORDS,
        correlation,
        rows,
        shares,
        size,
        unsettled,
    )

    write(f"{summary.task}: {size(summary.parameters, summary.steps, summary.search)}\n")
    for share in shares(summary):
        write(f"Speed-up to AdamW's value after {float(share):.0%} of its steps\n")
        table(COLUMNS, rows(summary, share), left=WORDS)
        write()
    for said in filter(None, (unsettled(summary), sentence(summary))):
        write(f"{said}\n")
    if summary.search:
        write(correlation(summary))
