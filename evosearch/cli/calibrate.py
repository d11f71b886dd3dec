"""``evosearch calibrate``: how well a preset's scores foretell what is known at scale."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from evosearch.cli.output import AsJson, print_json, progress_console, table, write
from evosearch.cli.tasks import task_names
from evosearch.errors import UsageError
from evosearch.workers.start import start_workers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evosearch.studies.calibration.scoring import PanelScores
    from evosearch.studies.calibration.summary import CalibrationSummary

__all__ = ["calibrate"]

_SVG: Final = "http://www.w3.org/2000/svg"


def calibrate(
    *,
    preset: Annotated[str, typer.Option(help="The preset whose scores are judged.")] = "foretell",
    tasks: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Some of its tasks, or others that were measured."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Score the panel again instead of reading results.")
    ] = False,
    rounds: Annotated[int, typer.Option(min=1, help="Evaluations of each, with --fresh.")] = 1,
    seed: Annotated[
        int, typer.Option(min=0, help="What --fresh draws seeds from; stored results have 1.")
    ] = 1,
    results: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where --fresh keeps what it has; read without it."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Draw scores against the known order.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes, with --fresh; 1: no Ray.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Compare a preset's scores of known optimizers with what published tests say of them.

    Each of a panel of 21 is scored as a search scores a candidate. Of every pair that a source
    decides beyond its noise, the scores order both members rightly or not. Figures come with 95 %
    intervals, over optimizers, seeds and the grid of rates; those of families that are left out are
    of members that took no part in weighing the tasks. Reads stored scores; --fresh takes minutes,
    and goes on where it was interrupted.

    Examples:
      evosearch calibrate
      evosearch calibrate --preset foretell --json
      evosearch calibrate --tasks two_sided_least_squares --plot panel.svg
      evosearch calibrate --fresh --seed 2 --workers 2
    """
    from evosearch.studies.calibration.panel import panel
    from evosearch.studies.calibration.results import MAP, SCALE, stored
    from evosearch.studies.calibration.summary import summarize

    names = task_names(tasks)
    found = (
        _measure(preset, names, results, rounds=rounds, seed=seed, workers=workers)
        if fresh
        else _stored(preset, names, results)
    )
    others, scale = {} if names else stored(MAP) or {}, stored(SCALE) or {}
    summary = summarize(found, panel(), others=others, scale=scale)
    if plot is not None:
        try:
            plot.write_text(_drawn(summary), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot write {plot}: {error}") from None
    if as_json:
        print_json({"preset": None if names else preset, **summary.to_json()})
    else:
        _print(summary)


def _stored(
    preset: str, names: Sequence[str] | None, results: Path | None
) -> Mapping[str, PanelScores]:
    """Return the scores of a preset's tasks, or of the tasks named, that were measured before."""
    from evosearch.studies.calibration.results import MAP, measured, stored
    from evosearch.studies.calibration.scoring import load

    if results is not None and not results.is_file():
        raise UsageError(f"expected stored scores in {results}, found no file; give --fresh")
    found = load(results) if results is not None else stored(preset)
    if found is None:
        raise UsageError(
            f"expected a preset whose scores are stored ({', '.join(measured())}), found "
            f"{preset!r}; measure it with `evosearch calibrate --preset {preset} --fresh`"
        )
    if names is None:
        return found
    known = {**(stored(MAP) or {}), **found}
    chosen = {key: known[key] for key in known if key in names or key.partition("[")[0] in names}
    here = {key: task for key, task in chosen.items() if key in found} or chosen
    missing = [name for name in names if all(key.partition("[")[0] != name for key in here)]
    if missing:
        raise UsageError(
            f"expected tasks that were measured ({', '.join(known)}), found {', '.join(missing)}; "
            f"measure with `evosearch calibrate --tasks {','.join(names)} --fresh`"
        )
    return here


def _measure(
    name: str,
    tasks: Sequence[str] | None,
    results: Path | None,
    *,
    rounds: int,
    seed: int,
    workers: int,
) -> Mapping[str, PanelScores]:
    from evosearch.config.preflight import check_tasks
    from evosearch.config.schema import preset
    from evosearch.studies.calibration.panel import panel
    from evosearch.studies.calibration.scoring import score_panel

    config = preset(name, (), tasks)
    check_tasks(config)
    suffix = "".join(f"-{part}" for part in (*(tasks or ()), seed))
    path = results or Path("runs") / f"calibration-{name}{suffix}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    console = progress_console()
    with start_workers(workers, None, 0.0, config) as executor:
        found = score_panel(
            panel().programs,
            config,
            executor,
            path,
            purpose=f"calibration-{seed}",
            rounds=rounds,
            report=console.print,
        )
    console.print(f"Scores are in {path}")
    return found


def _print(summary: CalibrationSummary) -> None:
    counts, tasks = summary.counts, summary.tasks
    write(
        f"{counts.members} known optimizers, {counts.decided} pairs decided at scale, "
        f"{counts.hard} of them hard; on {', '.join(t.task for t in tasks)}\n"
    )
    rows = [
        (
            "rank correlation (Spearman)",
            _figure(summary.fitted_spearman, summary.fitted_spearman_interval),
            _figure(summary.held_out_spearman, summary.held_out_spearman_interval),
        ),
        (
            "decided pairs in order",
            _figure(summary.decided_pairs_fitted, summary.decided_pairs_fitted_interval),
            _figure(summary.decided_pairs, summary.decided_pairs_interval),
        ),
        (
            "hard pairs in order",
            _figure(summary.hard_pairs_fitted, summary.hard_pairs_fitted_interval),
            _figure(summary.hard_pairs, summary.hard_pairs_interval),
        ),
    ]
    table(("", "as it is", "families left out"), rows, left=("",))
    write()
    rows = [
        (s.source, f"{s.right} of {s.pairs}", _figure(s.spearman, s.spearman_interval))
        for s in summary.sources
        if s.pairs
    ]
    table(("source", "pairs", "Spearman"), rows, left=("source",))
    write()
    rows = [
        (
            t.task,
            t.steps,
            t.batch or "",
            f"{t.right} of {t.pairs}",
            f"{t.hard_right} of {t.hard}",
            _figure(t.spearman, t.spearman_interval),
        )
        for t in (*tasks, *summary.map)
    ]
    table(("task", "steps", "batch", "pairs", "hard", "Spearman"), rows, left=("task",))
    if summary.misjudged:
        worst = [f"{m.member} ({m.wrong} of {m.pairs})" for m in summary.misjudged[:6]]
        write(f"\nMisjudged most, by pairs: {', '.join(worst)}")
    for task in summary.scale or ():
        write(
            f"\nRank correlation with {task.task}, over {len(task.members)} of them: "
            f"{_figure(summary.scale_spearman, summary.scale_spearman_interval)}"
        )


def _drawn(summary: CalibrationSummary) -> str:
    """Return an SVG file: each member's rank at scale against its score, misjudged ones marked."""
    from evosearch.runs.svg import ChartAxis, ChartPoint, chart

    wrong = {m.member for m in summary.misjudged}
    points = [
        ChartPoint(
            x=rank,
            y=summary.members[name],
            title=f"{name}: rank {rank} at scale, score {summary.members[name]:+.2f}",
            kind="best" if name in wrong else "front",
            label=name,
        )
        for rank, name in enumerate(reversed(summary.order), start=1)
    ]
    axes = ChartAxis("rank at scale, best right"), ChartAxis("score against AdamW", level=0.0)
    head, _, rest = chart(*axes, points).partition(">")
    style = (
        "<style>text{font:11px sans-serif;fill:#444}circle{fill:#2563eb}.best{fill:#c2410c}"
        "path{stroke:#bbb;fill:none}</style>"
    )
    space = "" if "xmlns=" in head else f' xmlns="{_SVG}"'
    return f"{head}{space}>{style}{rest}\n"


def _figure(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None or interval is None:
        return ""
    return f"{value:.2f} ({interval[0]:.2f} to {interval[1]:.2f})"
