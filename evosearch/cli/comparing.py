"""What `evaluate`, `compare` and `transfer` have in common: options, the plan, progress."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from evosearch.cli import complete
from evosearch.cli.output import progress_console, table, write
from evosearch.cli.tasks import note_held_out
from evosearch.config.preflight import check_tasks
from evosearch.runs.named_program import NamedProgram
from evosearch.runs.progress import score_text
from evosearch.workers.start import start_workers

if TYPE_CHECKING:
    from evosearch.config.schema import Config
    from evosearch.studies.compare import Comparison, Conditions
    from evosearch.studies.comparison_plan import ComparisonPlan
    from evosearch.studies.tuning_cache import CachedExecutor
    from evosearch.training.optimizer_class import OptimizerClass
    from evosearch.training.score import Score
    from evosearch.training.tuner import Tuned

__all__ = [
    "TRIALS",
    "Constants",
    "Fine",
    "Processes",
    "Seed",
    "Seeds",
    "Settings",
    "Tasks",
    "Trials",
    "run_comparison",
    "shown_score",
    "unsettled",
]

_CACHE: Final = Path("runs") / "tuned"
"""Where tunings are kept that were computed before."""
TRIALS: Final = 64
"""Enough for seven axes."""

Tasks = Annotated[
    str | None,
    typer.Option(
        metavar="A,B",
        autocompletion=complete.tasks,
        help="Names from `evosearch tasks`, or files of your own; by default the run's, or "
        "digits_mlp.",
    ),
]
Seeds = Annotated[int, typer.Option(min=2, help="Paired seeds a task.")]
Seed = Annotated[int, typer.Option(help="What the seeds are drawn from; never those of a search.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key, e.g. tasks.char_lm.batch=4."),
]
Trials = Annotated[
    int, typer.Option(min=1, help="Settings of rates and constants that each may try on a task.")
]
Constants = Annotated[
    bool, typer.Option("--tune-constants", help="Tune the optimizers' constants as AdamW's are.")
]
Fine = Annotated[
    bool, typer.Option("--fine", help="Refine learning rates to a factor of the square root of 2.")
]
Processes = Annotated[int, typer.Option(min=1, help="Processes that evaluate; 1: no Ray.")]


def run_comparison(
    subjects: Sequence[tuple[str, NamedProgram | OptimizerClass]],
    config: Config,
    conditions: Conditions,
    *,
    command: str,
    constants: bool,
    workers: int,
    budget: float | None = None,
    plan_only: bool = False,
) -> Comparison:
    """Compare optimizers, with the plan and the time left on stderr; what is known is not computed.

    Args:
        subjects: With their labels.
        config: Its tasks.
        conditions: Seeds and trials.
        command: Who asks, for the record of looks at held-out tasks.
        constants: Whether the optimizers' constants are tuned as AdamW's are.
        workers: Processes.
        budget: Minutes of one core that it may take; fewer trials make it fit.
        plan_only: Whether to print the plan to stdout and end the command.
    """
    from dataclasses import replace

    from evosearch.studies.baseline_families import FAMILIES
    from evosearch.studies.compare import compare, tunable
    from evosearch.studies.comparison_plan import plan
    from evosearch.studies.tuning_cache import CachedExecutor

    console = progress_console()
    console.print("Reading the tasks' data and timing a few steps.")
    optimizers = [(n, s.program if isinstance(s, NamedProgram) else s) for n, s in subjects]
    imprints = check_tasks(config)
    everybody = {"AdamW, the reference": FAMILIES["adamw"]}
    everybody |= {n: tunable(rules, constants=constants) for n, rules in optimizers}
    refs = [ref for tier in config.tiers_of_tasks() for ref in tier]
    with start_workers(workers, None, 0.0, config) as executor:
        cached = CachedExecutor(executor, _CACHE, imprints)
        planned = plan(everybody, refs, conditions.job, cached.knows)
        if budget is not None:
            trials = planned.within(budget)
            descent = replace(conditions.descent, trials=trials)
            conditions = replace(conditions, descent=descent)
            planned = plan(everybody, refs, conditions.job, cached.knows)
        if plan_only:
            _print_plan(planned, conditions, workers)
            raise typer.Exit
        console.print(_in_words(planned, conditions, workers), soft_wrap=True)
        texts = [str(rules) for _, rules in optimizers]
        tests = f"{planned.trials} trials each; scores against tuned AdamW, one-sided t tests"
        names = [name for name, _ in optimizers]
        note_held_out(
            command, config.task_names, texts, conditions.seeds, finalists=names, plan=tests
        )
        return compare(
            optimizers,
            config,
            cached,
            seeds=conditions.seeds,
            seed=conditions.seed,
            descent=conditions.descent,
            constants=constants,
            report=_TimeLeft(planned, workers, cached),
        )


class _TimeLeft:
    """Says what is done and how long the rest may take."""

    def __init__(self, planned: ComparisonPlan, workers: int, executor: CachedExecutor) -> None:
        self._executor = executor
        self._left = list(planned.tunings)
        self._workers, self._console = workers, progress_console()
        self._expected = self._taken = 0.0

    def __call__(self, text: str) -> None:
        done, seconds = self._left.pop(0), self._executor.spent
        if seconds:
            self._expected, self._taken = self._expected + done.seconds, self._taken + seconds
        pace = self._taken / self._expected if self._expected else 1.0
        left = pace * sum(t.seconds for t in self._left if not t.known) / self._workers
        rest = f"; {len(self._left)} to go, about {_span(left)}" if self._left else ""
        self._console.print(f"{text}{rest}", soft_wrap=True)


def _print_plan(planned: ComparisonPlan, conditions: Conditions, workers: int) -> None:
    rows = [
        (t.optimizer, t.task, t.runs, "known" if t.known else _span(t.seconds))
        for t in planned.tunings
    ]
    table(("optimizer", "task", "runs", "at most"), rows, left=("optimizer", "task"))
    write(f"\n{_in_words(planned, conditions, workers)}")


def _in_words(planned: ComparisonPlan, conditions: Conditions, workers: int) -> str:
    n = conditions.seeds
    each = f"{planned.trials} trials on {n} seeds, then {n} others" if planned.trials else ""
    return (
        f"{len(planned.tunings)} tunings of at most {each}: about "
        f"{planned.seconds / 60:.2g} core-minutes, {_span(planned.seconds / workers)} with "
        f"{workers} worker{'s' if workers > 1 else ''}; what settles earlier takes less."
    )


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def unsettled(tuned: Tuned) -> str:
    """Return where the best lies at an edge, because trials ran out."""
    return f"not settled: {', '.join(tuned.edges)}; give more --trials" if tuned.edges else ""


def shown_score(score: Score | None) -> str:
    """Return a score with its error; nothing where there is none."""
    return score_text(score.mean, score.se) if score else ""
