"""``evosearch scale``: whether what was found holds on a task much larger than the search's."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from evosearch.cli.conditions import note_held_out
from evosearch.cli.interrupt import INTERRUPTED, interruptible
from evosearch.cli.named_program import resolve
from evosearch.cli.output import AsJson, print_json, progress_console, table, write
from evosearch.errors import UsageError

if TYPE_CHECKING:
    from evosearch.config.schema import Config
    from evosearch.studies.scale.lane import Lane, LaneResult
    from evosearch.studies.scale.protocol import ScaleTest

__all__ = ["scale"]

_LOOK: Final = "look.json"


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
        int, typer.Option(min=5, help="Settings of learning rate and ratio that each may try.")
    ] = 12,
    seed: Annotated[int, typer.Option(help="What the seeds are drawn from.")] = 0,
    at: Annotated[
        list[float] | None,
        typer.Option(help="Share of AdamW's steps whose loss is the target; default 1.0."),
    ] = None,
    search: Annotated[
        str, typer.Option(metavar="PRESET", help="The search whose score is put beside it.")
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
    """Compare finalists with tuned SGD momentum, AdamW, Lion and Muon on a much larger task.

    Everybody keeps their constants and has the same number of trials of learning rate and of the
    ratio between hidden matrices and the rest; the best is trained on other seeds. Reports steps
    to AdamW's end value, end values, and the rank correlation with the score of a search.

    Every training run is kept in the directory. Give the same command again to go on after an
    interruption, or with more finalists or seeds.

    Examples:
      evosearch scale --plan
      evosearch scale runs/quickstart-0 my_optimizer.program --workers 8
      evosearch scale discovered/*.json --set tasks.char_lm_scale.batch=4 --seeds 6
    """
    from evosearch.config.preflight import check_tasks
    from evosearch.config.schema import configure, preset
    from evosearch.studies.scale.protocol import ScaleTest

    shares = at or [1.0]
    if not all(0.0 < share <= 1.0 for share in shares):
        raise UsageError(f"expected --at above 0 and up to 1, found {shares}")
    config = configure({"tiers": [{"tasks": [task]}]}, settings or [], "the scale test")
    small = preset(search)
    check_tasks(config)
    check_tasks(small)
    ref = config.task(task)
    programs = _programs(finalists or [])
    test = ScaleTest(ref, programs, seeds, trials, seed, config.evaluation.grid())
    where = directory or Path("runs") / f"scale-{task}"
    cost = _cost(test, small, where)
    if plan:
        write(cost)
        return
    progress_console().print(cost, soft_wrap=True)
    try:
        with interruptible():
            summary = _measure(test, small, where, workers, shares)
    except KeyboardInterrupt:
        print(
            "Interrupted; every finished training run is saved. To go on, give the same command: "
            f"{shlex.join(['evosearch', *sys.argv[1:]])}",
            file=sys.stderr,
        )
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json(summary)
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


def _cost(test: ScaleTest, small: Config, where: Path) -> str:
    """Return how large the test is and what it costs, in words."""
    from evosearch.studies.scale.lr_search import largest
    from evosearch.studies.scale.protocol import costs
    from evosearch.studies.scale.table import size

    task, found = test.problem, costs(test)
    parameters = sum(parameter.numel for parameter in task.parameters)
    runs = test.trials + test.seeds
    searched = dict(zip(("parameters", "steps"), largest(small), strict=True))
    scale = size({"parameters": parameters, "steps": task.steps, "search": searched})
    return (
        f"{test.task}: {scale}. {len(test.programs)} "
        f"optimizers x ({test.trials} trials + {test.seeds} seeds), {min(found.values()):.0f} to "
        f"{max(found.values()):.0f} s a run: about {sum(found.values()) * runs / 60:.0f} "
        f"core-minutes without what is in {where} already, and some for the search's tasks."
    )


def _measure(
    test: ScaleTest, small: Config, where: Path, workers: int, at: Sequence[float]
) -> dict[str, Any]:
    """Train what is missing and return the result."""
    from evosearch.runs.manifest import versions
    from evosearch.storage.atomic_write import write_atomic
    from evosearch.studies.baseline_board import text
    from evosearch.studies.scale.lr_search import search_scores
    from evosearch.studies.scale.protocol import run
    from evosearch.studies.scale.result import summarize
    from evosearch.workers.start import start_workers

    console = progress_console()

    def report(label: str, lane: Lane, result: LaneResult) -> None:
        kind = f"seed {lane.replicate}" if lane.replicate else f"trial {lane.trial.matrix:.2g}"
        console.print(f"{label}, {kind}: {result.value:.4f} in {result.seconds:.0f} s")

    where.mkdir(parents=True, exist_ok=True)
    count = _look(test, where)
    with start_workers(workers, None, 0.0, small) as executor:
        path = where / "search.json"
        scores = search_scores(
            test.programs, small, executor, path, seed=test.seed, report=console.print
        )
    contestants = run(test, where, workers=workers, report=report)
    kept = {k: v for k, v in versions().items() if k in ("python", "torch")}
    summary = summarize(test, contestants, scores, small, at)
    summary |= {"look": count, "versions": kept}
    write_atomic(where / "result.json", text(summary))
    return summary


def _look(test: ScaleTest, where: Path) -> int:
    """Note the use of a held-out task, unless the one noted for this directory covers it."""
    from evosearch.storage.atomic_write import write_atomic

    path, programs = where / _LOOK, sorted(test.programs.values())
    if path.is_file():
        noted = json.loads(path.read_text(encoding="utf-8"))
        if set(programs) <= set(noted["of"]["programs"]) and test.seeds <= noted["of"]["seeds"]:
            return noted["look"]
    count = note_held_out("scale", [test.task.name], programs, test.seeds)
    of = {"programs": programs, "seeds": test.seeds}
    write_atomic(path, json.dumps({"look": count, "of": of}) + "\n")
    return count


def _print(summary: dict[str, Any]) -> None:
    from evosearch.studies.scale.paired import sentence
    from evosearch.studies.scale.table import COLUMNS, WORDS, correlation, rows, shares, size

    write(f"{summary['task']}: {size(summary)}\n")
    for share in shares(summary):
        write(f"Speed-up to AdamW's value after {float(share):.0%} of its steps\n")
        table(COLUMNS, rows(summary, share), left=WORDS)
        write()
    if said := sentence(summary):
        write(f"{said}\n")
    write(correlation(summary))
