"""``evosearch search`` and ``evosearch resume``."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from evosearch.api import free_directory
from evosearch.cli import complete
from evosearch.cli.interrupt import INTERRUPTED, interruptible
from evosearch.cli.limits import Limits, Reached
from evosearch.cli.output import (
    AsJson,
    RunPath,
    print_hall_of_fame,
    print_json,
    progress_console,
    table,
    tell,
    write,
)
from evosearch.cli.progress_view import ProgressView
from evosearch.cli.tasks import note_held_out, task_names
from evosearch.config.overrides import named_tasks
from evosearch.config.preflight import check_search
from evosearch.errors import EvosearchError, UsageError
from evosearch.runs.named_program import resolve
from evosearch.runs.progress import score_text
from evosearch.runs.run import Run
from evosearch.storage.journal import require_vacant
from evosearch.workers.start import start_workers

if TYPE_CHECKING:
    from evosearch.config.schema import Config
    from evosearch.runs.front import Recommendation
    from evosearch.simplify import Simplified
    from evosearch.workers.executor import Executor

__all__ = ["resume", "search"]

_FOR_OWN: Final = "quickstart"
"""The configuration of a search whose tasks alone are named, but for its start: an AdamW whose
constants are of other tasks."""

Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Processes that evaluate; by default one for each core. 1: no Ray."),
]
Address = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="Evaluate on this running Ray cluster.")
]
Gpus = Annotated[
    float,
    typer.Option(min=0.0, metavar="SHARE", help="Share of a GPU for each worker, e.g. 0.25."),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(min=0.0, metavar="MINUTES", help="Stop after this time; `resume` goes on."),
]
MaxEvaluations = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help="Stop when N candidates are evaluated; `resume` goes on."
    ),
]
TargetScore = Annotated[
    float | None,
    typer.Option(metavar="SCORE", help="Stop when a confirmed candidate has it; `resume` goes on."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


def search(
    *,
    preset: Annotated[
        str | None,
        typer.Option(
            help="A configuration that ships with it, e.g. quickstart.",
            autocompletion=complete.preset_names,
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A configuration of your own, in TOML.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A new directory; by default below runs/.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed; the same one gives the same run.")] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="PROGRAM",
            help="Where it begins: a known optimizer, a program file, RUN or RUN:ID.",
        ),
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            autocompletion=complete.tasks,
            help="Train on these tasks instead of the configuration's; my_task.py: on those in it.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the configuration."),
    ] = None,
    workers: Workers = None,
    address: Address = None,
    gpus_per_worker: Gpus = 0.0,
    time_limit: TimeLimit = None,
    max_evaluations: MaxEvaluations = None,
    target_score: TargetScore = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it costs and how long it takes; end.")
    ] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Search for optimizers that beat AdamW.

    The run directory holds everything: `resume` continues a run that was stopped or killed.

    Examples:
      evosearch search --preset quickstart
      evosearch search --preset quickstart --seed 1 --workers 8 --run runs/second
      evosearch search --preset quickstart --start runs/quickstart-0:42
      evosearch search --tasks my_task.py --dry-run
      evosearch search --tasks my_task.py
      evosearch search --preset quickstart --tasks least_squares,zipf_bigram
      evosearch search --config my.toml --set budget.evaluations=5000 --time-limit 60
      evosearch search --preset quickstart --address 10.0.0.5:6379 --gpus-per-worker 0.25
    """
    changes = [*(settings or []), *([] if seed is None else [f"seed={seed}"])]
    if start is not None:
        changes.append(f"start={json.dumps(str(resolve([start]).program))}")
    chosen, label = _configuration(preset, config, changes, task_names(tasks))
    directory = run or free_directory(label, chosen.seed)
    require_vacant(directory)
    _prepare(chosen, quiet)
    if dry_run:
        _tell_cost(chosen, workers, as_json)
        return
    note_held_out("search", chosen.task_names, [chosen.start], chosen.evaluation.seeds)
    limits = Limits(time_limit, max_evaluations, target_score)
    with start_workers(workers, address, gpus_per_worker, chosen) as executor:
        started = Run.create(directory, chosen)
        _go_on(started, executor, limits, quiet, as_json)


def resume(
    run: RunPath,
    *,
    evaluations: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Extend it: go on to N candidates in all."),
    ] = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Set a damaged journal's rest aside and compute it again."),
    ] = False,
    workers: Workers = None,
    address: Address = None,
    gpus_per_worker: Gpus = 0.0,
    time_limit: TimeLimit = None,
    max_evaluations: MaxEvaluations = None,
    target_score: TargetScore = None,
    tasks: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The file of your own tasks that the run began with."),
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Continue a run that was stopped or killed, or extend it.

    The result is that of an uninterrupted run, with any number of workers. One that is extended
    keeps its history up to the old end, and it makes no difference when that is asked for.

    Examples:
      evosearch resume runs/quickstart-0
      evosearch resume runs/quickstart-0 --workers 8
      evosearch resume runs/quickstart-0 --evaluations 1000
      evosearch resume runs/quickstart-0 --repair
    """
    if tasks is not None:
        named_tasks([tasks])
    if repair:
        from evosearch.storage.repair import repair as keep_what_is_sound

        tell(keep_what_is_sound(run) or f"{run} needs no repair.")
    opened = Run.open(run)
    if evaluations is not None:
        opened = opened.extend(evaluations)
    if opened.history.finished:
        _report(opened, as_json)
        return
    _tell_versions(opened)
    _prepare(opened.config, quiet)
    limits = Limits(time_limit, max_evaluations, target_score)
    with start_workers(workers, address, gpus_per_worker, opened.config) as executor:
        _go_on(opened, executor, limits, quiet, as_json)


def _prepare(config: Config, quiet: bool) -> None:
    """Check the tasks' data; that and starting workers takes some silent seconds."""
    if not quiet:
        tell("Reading the tasks' data and starting workers.")
    check_search(config)


def _tell_cost(config: Config, workers: int | None, as_json: bool) -> None:
    """Print what a candidate and the whole search take on this machine, timed on a few steps."""
    from evosearch.hardware import cores
    from evosearch.language.known import known
    from evosearch.training.cost import run_seconds
    from evosearch.training.evaluate import compile_text
    from proxy_tasks.registry import get

    how = config.evaluation
    runs = how.rates * len(how.ratios) * how.seeds
    adamw = compile_text(str(known("adamw")))
    rows, total = [], 0.0
    for number, tier in enumerate(config.tiers_of_tasks(), start=1):
        for ref in tier:
            task = get(ref.name, **ref.overrides)
            seconds = runs * run_seconds(task, adamw)
            total += seconds
            rows.append(
                {
                    "task": str(ref),
                    "tier": number,
                    "steps": task.steps,
                    "parameters": sum(p.numel for p in task.parameters),
                    "runs": runs,
                    "seconds": seconds,
                    "notes": list(task.notes()),
                }
            )
    count = config.budget.evaluations
    processes = workers or cores()
    minutes = count * total / 60
    if as_json:
        print_json({"tasks": rows, "candidates": count, "core_minutes": minutes})
        return
    cells = [
        (r["task"], r["tier"], r["steps"], f"{r['parameters']:,}", runs, f"{r['seconds']:.2g} s")
        for r in rows
    ]
    columns = ("task", "tier", "steps", "parameters", "runs a candidate", "a candidate takes")
    table(columns, cells, left=("task",))
    for row in rows:
        for note in row["notes"]:
            write(f"{row['task']}: {note}")
    write(
        f"\n{count} candidates take about {minutes:.2g} core-minutes, {minutes / processes:.2g} "
        f"min with {processes} worker{'s' if processes > 1 else ''}, if all reach the last tier; "
        "grids that are extended and the best candidates' other rounds add about half."
    )


def _tell_versions(run: Run) -> None:
    """Say which versions are not those that the run began with; results may depend on them."""
    from evosearch.runs.manifest import versions

    now = versions()
    began = run.manifest.get("versions", {})
    names = [name for name in began if name in now and began[name] != now[name]]
    if names:
        different = ", ".join(f"{name} {began[name]} then, {now[name]} now" for name in names)
        tell(f"The run began with other versions, on which results may depend: {different}.")


def _go_on(run: Run, executor: Executor, limits: Limits, quiet: bool, as_json: bool) -> None:
    """Search until the budget, a limit or the user's patience is reached, and say what came out."""
    config = run.config
    n = executor.workers
    title = f"{run.directory}: seed {config.seed}"
    tasks = len(config.task_names)
    view = ProgressView(progress_console(), title, run.budget, tasks, quiet=quiet, workers=n)
    to_go_on = f"To go on: evosearch resume {shlex.quote(str(run.directory))}"
    executor.on_fault = view.fault
    try:
        with interruptible(), view:
            for fault in executor.faults:
                view.fault(fault)
            run = run.search(executor, limits.observing(view.observe, config.elites.rounds))
    except Reached as limit:
        run = Run.open(run.directory)
        tell(f"{limit} {to_go_on}")
    except KeyboardInterrupt:
        tell(f"Interrupted; everything committed is saved. {to_go_on}")
        raise typer.Exit(INTERRUPTED) from None
    except EvosearchError:
        tell(f"The search ended; everything committed is saved. {to_go_on}")
        raise
    _report(run, as_json)


def _configuration(
    name: str | None, file: Path | None, settings: list[str], tasks: list[str] | None
) -> tuple[Config, str]:
    """Return the configuration and what to call it."""
    from evosearch.config.schema import PRESETS, load, preset

    if name is None and file is None and tasks is not None:
        return preset(_FOR_OWN, ["start=adamw", *settings], tasks), tasks[0]
    if (name is None) == (file is None):
        raise UsageError(
            f"expected either --preset ({', '.join(PRESETS)}), --config FILE or --tasks; try "
            "`evosearch search --preset quickstart`"
        )
    if file is not None:
        return load(file, settings, tasks), file.stem
    assert name is not None
    return preset(name, settings, tasks), name


def _report(run: Run, as_json: bool) -> None:
    """Print the candidate to use, in the form to read, the hall of fame, and what to do next."""
    best, recommended = run.top(10), run.recommend()
    directory = shlex.quote(str(run.directory))
    id_ = recommended.candidate.id if recommended else 0
    commands = [
        f"evosearch evaluate {directory} {id_} --seeds 8",
        f"evosearch simplify {directory} {id_}",
        f"evosearch export {directory} {id_} --simplified -o optimizer.py",
        f"evosearch show {directory} {id_}",
        f"evosearch report {directory}",
    ]
    if as_json:
        print_json(
            {
                "run": str(run.directory),
                "state": run.state,
                "evaluations": len(run.history.candidates),
                "digest": run.digest(),
                "recommended": id_ if recommended else None,
                "top": [candidate.to_json() for candidate in best],
                "next": commands if best else [],
            }
        )
        return
    history = run.history
    rate = history.hit_rate
    write(f"Run       {run.directory} ({run.state})")
    write(f"Evaluated {len(history.candidates):,} candidates")
    if rate is not None:
        known = f"{rate:.1%} of them computed something known"
        write(f"Proposed  {history.proposals:,} programs, {known}")
    if recommended is None:
        write("No candidate has a score yet.")
        return
    first = score_text(best[0].score, best[0].error)
    write(f"Best      {first}: log of {run.config.unit}\n")
    print_hall_of_fame(best)
    _print_recommended(recommended)
    write("\nNext:")
    for command, purpose in zip(commands, _PURPOSES, strict=True):
        write(f"  {command:{max(map(len, commands))}}   {purpose}")


_PURPOSES: Final = (
    "against AdamW tuned on seeds that no search uses",
    "why each step of the simplification is allowed",
    "as a torch.optim.Optimizer, in one file",
    "its equations, and what it descends from",
    "the whole run as a page",
)
"""What the commands after a search are for, in their order."""


def _named(simplified: Simplified) -> str:
    """Return which known optimizer a program is, or its rule for matrices alone."""
    from evosearch.recognize.recognize import recognize_rule

    if simplified.recognition is not None:
        return str(simplified.recognition)
    rules = simplified.program
    if rules.rest is not None and (matrix := recognize_rule(rules.matrix)) is not None:
        return f"{matrix} for matrices, and none of the known optimizers for the rest"
    return "none of the known optimizers"


def _print_recommended(recommended: Recommendation) -> None:
    """Print which candidate to use, why, and its program simplified by exact laws."""
    from evosearch.recognize.recognize import recognize
    from evosearch.simplify import simplify

    candidate = recommended.candidate
    simplified = simplify(candidate.program, recognize=recognize)
    write(f"\nUse candidate {candidate.id}: {recommended.reason}.")
    scores = [
        f"{score_text(score.mean, score.se)} on {task.partition('[')[0]}"
        for task, score in candidate.task_scores().items()
    ]
    write(f"Its scores: {', '.join(scores)}.")
    write(f"It is {_named(simplified)}. Simplified, {simplified.program.size} statements:\n")
    text = str(simplified.program.renamed(candidate.name)).rstrip()
    for line in text.splitlines():
        write(f"  {line}" if line else "")
