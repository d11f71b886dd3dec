"""``evosearch baselines``: how well tuned known optimizers do on each task."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evosearch.cli.output import AsJson, print_json, progress_console, table, write
from evosearch.cli.tasks import note_held_out
from evosearch.errors import UsageError
from evosearch.runs.progress import score_text
from evosearch.workers.start import start_workers

if TYPE_CHECKING:
    from evosearch.studies.baseline_board import Board

__all__ = ["baselines"]


def baselines(
    tasks: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TASK...]", help="Tasks; by default all that were measured."),
    ] = None,
    *,
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure again, and replace the stored figures.")
    ] = False,
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to store; by default the package.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes; 1: no Ray.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Show stored scores of tuned SGD, momentum, Nesterov, AdamW, Signum, Lion and Muon.

    Each has its constants and rates tuned on some seeds, with as many trials as any other, and is
    scored on others against tuned AdamW; beside it the textbook's constants. The files hold every
    trial. Measuring takes minutes a task.

    Examples:
      evosearch baselines
      evosearch baselines varying_batch --json
      evosearch baselines digits_mlp least_squares --measure --workers 2
    """
    from evosearch.studies.baseline_board import measured, stored
    from proxy_tasks.registry import TASKS

    for name in tasks or ():
        if name not in TASKS:
            raise UsageError(f"unknown task `{name}`; `evosearch tasks` lists them")
    if measure:
        if not tasks:
            raise UsageError("expected the names of tasks to measure, found none")
        boards = {name: _measure(name, folder, workers) for name in tasks}
    else:
        found = {name: stored(name) for name in tasks or measured()}
        missing = [name for name, board in found.items() if board is None]
        if missing:
            names = " ".join(missing)
            raise UsageError(
                f"no figures are stored for {names}; measure them with "
                f"`evosearch baselines {names} --measure`"
            )
        boards = {name: board for name, board in found.items() if board is not None}
    if as_json:
        print_json(boards)
    else:
        _print(boards)


def _measure(task: str, folder: Path | None, workers: int) -> Board:
    from importlib.resources import files

    from evosearch.config.preflight import check_task
    from evosearch.config.schema import configure
    from evosearch.storage.atomic_write import write_atomic
    from evosearch.studies.baseline_board import SEEDS, measure, text
    from evosearch.studies.baseline_families import FAMILIES

    check_task(task, {})
    place = folder or Path(str(files("evosearch.studies.boards")))
    try:
        place.mkdir(parents=True, exist_ok=True)  # before the minutes that it takes, not after
    except OSError as error:
        raise UsageError(f"expected a folder to write to, but: {error}") from None
    console = progress_console()
    programs = [family.start for family in FAMILIES.values()]
    note_held_out("baselines", [task], programs, SEEDS)
    config = configure({"tiers": [{"tasks": [task]}]}, (), "the measurement")
    with start_workers(workers, None, 0.0, config) as executor:
        board = measure(task, executor, report=console.print)
    path = place / f"{task}.json"
    try:
        write_atomic(path, text(board))
    except OSError as error:
        raise UsageError(f"expected to write {path}, but: {error}") from None
    return board


def _print(boards: dict[str, Board]) -> None:
    from evosearch.studies.baseline_board import excluded

    rows = []
    for task, board in boards.items():
        for name, optimizer in board["optimizers"].items():
            tuned, textbook = optimizer["tuned"], optimizer["textbook"]
            rates = f"{tuned['lr']:.2g} / {tuned['rest_lr']:.2g}" if tuned["scores"] else ""
            remark = f"not settled: {', '.join(tuned['edges'])}" if tuned["edges"] else ""
            if excluded(board, name):
                remark = "worse than the textbook's"
            rows.append((task, name, _score(tuned), _score(textbook), rates, remark))
    columns = ("task", "optimizer", "tuned ± se", "textbook ± se", "lr of matrices / rest", "")
    table(columns, rows, left=("task", "optimizer", "lr of matrices / rest", ""))
    count = f"{len(boards)} task{'' if len(boards) == 1 else 's'}"
    write(f"\n{count}; scores against AdamW as `evosearch evaluate` tunes it.")


def _score(row: dict[str, Any]) -> str:
    from evosearch.training.score import mean_score

    if not row["scores"]:
        return "failed"
    score = mean_score(row["scores"])
    return score_text(score.mean, score.se)
