"""Rediscovery: independent searches for a known optimizer, and the controls that go with them.

Every seed of every arm is a run of its own below one directory, its verdict beside its journal:

    DIR/evolution/seed-0/...        the search
    DIR/random/seed-0/...           a control
    DIR/summary.json, summary.md    what all of them add up to

An arm is nothing but a changed configuration. Seeds are independent, so as many run side by side as
there are workers, each in a process of its own; what was finished before is not run again.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from evosearch.errors import EvosearchError, RunError, UsageError
from evosearch.language.library import LIBRARY, Use, used_as
from evosearch.runs.history import History
from evosearch.runs.run import Observe, Run
from evosearch.storage.atomic_write import write_atomic
from evosearch.studies.rediscovery.criterion import FORMAT, TARGETS, judge
from evosearch.studies.rediscovery.verdict import Verdict
from evosearch.workers.executor import LocalExecutor, Timed

if TYPE_CHECKING:
    from evosearch.config.schema import Config

__all__ = [
    "CONTROLS",
    "EVOLUTION",
    "FACTOR",
    "STARTS",
    "ReportTrial",
    "Study",
    "Trial",
    "run_trial",
    "run_trials",
    "starting_program",
]

EVOLUTION: Final = "evolution"
"""The arm that the claim is about."""
CONTROLS: Final = ("untuned", "random", "random-tuned", "enumeration", "constants")
"""The other arms. One thing changes from one to the next: evolution that does not tune constants,
random search that does not either, random search that does, all forms shortest first with their
constants tuned, and tuning without any other search."""
FACTOR: Final = 4
"""A control's budget in units of evolution's; what it found within one unit is read off the run."""
STARTS: Final = used_as(Use.START)
"""Where a search may begin; none of them computes a target."""
_VERDICT: Final = "verdict.json"
_TICK: Final = 1.0
"""Seconds between looks at searches in other processes."""


@dataclass(frozen=True)
class Trial:
    """One seed of one arm."""

    target: str
    arm: str
    config: Config
    directory: Path

    @property
    def title(self) -> str:
        """What to call it in a line of progress."""
        return f"{self.arm}, seed {self.config.seed}"

    def verdict(self) -> Verdict | None:
        """Return its verdict, or None where there is none yet.

        Raises:
            UsageError: The directory holds a run of another configuration.
        """
        if not (self.directory / "journal").is_dir():
            return None
        found = Run.open(self.directory).config
        if found != self.config:
            raise UsageError(
                f"{self.directory} holds a run of another configuration ({_change(found, self)}); "
                "repeat the options that it was started with, or choose another --dir"
            )
        try:
            kept = json.loads((self.directory / _VERDICT).read_text(encoding="utf-8"))
            return Verdict.from_json(kept) if kept.get("format") == FORMAT else None
        except (OSError, ValueError):  # none yet, or it was cut short
            return None


@dataclass(frozen=True)
class Study:
    """What is to be run."""

    target: str
    directory: Path
    config: Config
    """The preset; start, seed and, in controls, the budget are replaced."""
    start: str = "adamw"
    seeds: tuple[int, ...] = tuple(range(10))
    control_seeds: tuple[int, ...] = ()
    """Seeds of the controls; none: no controls."""

    def trials(self) -> tuple[Trial, ...]:
        """Return evolution's seeds, then the controls'."""
        arms = [(EVOLUTION, self.seeds), *((arm, self.control_seeds) for arm in CONTROLS)]
        return tuple(
            Trial(
                self.target,
                arm,
                self._config(arm, seed),
                self.directory / arm / f"seed-{seed}",
            )
            for arm, seeds in arms
            for seed in seeds
        )

    def _config(self, arm: str, seed: int) -> Config:
        from evosearch.config.schema import configure

        data = self.config.model_dump(mode="json")
        budget = data["budget"]["evaluations"] * (1 if arm == EVOLUTION else FACTOR)
        settings = [f"seed={seed}", f"budget.evaluations={budget}"]
        self._require_another_start()
        data["start"] = starting_program(self.start, self.config)
        if arm in ("untuned", "random"):
            settings += ["population.tuning=0"]  # edits may change constants instead
            edits = dict.fromkeys((*self.config.space.edits, "change_constant"))
            settings += [
                f"space.edits={json.dumps(list(edits) if self.config.space.edits else [])}"
            ]
        if arm in ("random", "random-tuned"):
            # Every living individual is as likely a parent as any other, no parent comes from the
            # front, nothing restarts from the best or migrates: what is left is the same proposals
            # without selection. Hurdles stay: they decide what is evaluated further, and not who
            # breeds.
            never = budget + 1
            settings += ["population.tournament=1", "population.front=0"]
            settings += [f"population.patience={never}", f"population.migrate_every={never}"]
        if arm == "enumeration":
            settings += ["population.by_size=true"]
        if arm == "constants":
            start = "adamw" if "adamw" not in self._relatives else "momentum"
            data["start"] = starting_program(start, self.config)
            states = max(2, self.config.space.max_states)  # a limit on memory would forbid AdamW
            settings += ['space.edits=["change_constant"]', f"space.max_states={states}"]
            settings += ["space.spare_states=0"]
        return configure(data, settings, f"arm {arm}")

    @property
    def _relatives(self) -> tuple[str, ...]:
        """The known optimizers that are what is sought, or count as its family."""
        row = LIBRARY.get(self.target)
        return () if row is None or row.sought is None else (self.target, *row.sought.relatives)

    def _require_another_start(self) -> None:
        if self.start in self._relatives:
            raise UsageError(
                f"`{self.start}` is {self.target} or counts as its family; begin with one of "
                f"{', '.join(start for start in STARTS if start not in self._relatives)}"
            )


def starting_program(start: str, config: Config) -> str:
    """Return where a search begins: where the matrices' rule alone evolves, the rest is AdamW's."""
    from evosearch.language.known import default_rest, known
    from evosearch.language.rule import RuleSet

    if start not in STARTS:
        raise UsageError(f"expected a start among {', '.join(STARTS)}, found `{start}`")
    if config.space.scope != "matrix":
        return start
    return str(RuleSet(known(start).matrix, default_rest()))


class Metered(LocalExecutor):
    """Counts all of this process's time, breeding and simplifying included, not evaluation alone.

    It is processor time, so a machine that is busy otherwise does not make a search look slower.
    """

    def __init__(self) -> None:
        super().__init__()
        self._since = time.process_time()

    def collect(self, number: int) -> Timed:
        """Run the job; the time is what went by since the last job ended."""
        result, _ = super().collect(number)
        now = time.process_time()
        seconds, self._since = now - self._since, now
        return result, seconds


def run_trial(trial: Trial, observe: Observe = lambda _: None) -> Verdict:
    """Run one trial to its end, or from where it was stopped, and return its verdict.

    Args:
        trial: What to run.
        observe: Is shown the history of the search as it grows.
    """
    verdict = trial.verdict()
    if verdict is None:
        started = (trial.directory / "journal").is_dir()
        run = Run.open(trial.directory) if started else Run.create(trial.directory, trial.config)
        executor = Metered()
        finished = run.search(executor, observe)
        verdict = judge(finished, TARGETS[trial.target], executor, arm=trial.arm)
        write_atomic(trial.directory / _VERDICT, json.dumps(verdict.to_json(), indent=1) + "\n")
    return verdict


ReportTrial = Callable[[Trial, int, Verdict | None], None]
"""Is told of a trial: how many candidates it has evaluated, and its verdict once it is there."""


def run_trials(trials: Sequence[Trial], workers: int, report: ReportTrial) -> list[Verdict]:
    """Run all trials, `workers` of them at a time, and return their verdicts in order.

    Args:
        trials: In the order in which they are begun.
        workers: Processes; with one, everything happens in this process.
        report: Is called now and then while a trial goes on, and when it is done.

    Raises:
        UsageError: A directory holds a run of another configuration.
        RunError: A trial failed; the others' results are kept.
    """
    verdicts: dict[Path, Verdict] = {}

    def take(trial: Trial, verdict: Verdict | None) -> None:
        if verdict is not None:
            verdicts[trial.directory] = verdict
            report(trial, verdict.evaluations, verdict)

    for trial in trials:
        take(trial, trial.verdict())
    waiting = [trial for trial in trials if trial.directory not in verdicts]
    for trial in (_here if workers == 1 else partial(_side_by_side, workers))(waiting, report):
        take(trial, trial.verdict())
    return [verdicts[trial.directory] for trial in trials]


def _here(trials: Sequence[Trial], report: ReportTrial) -> Iterator[Trial]:
    """Run trials one after another in this process and yield each when it is done."""
    for trial in trials:
        run_trial(trial, lambda history, trial=trial: report(trial, len(history.candidates), None))
        yield trial


def _side_by_side(workers: int, trials: Sequence[Trial], report: ReportTrial) -> Iterator[Trial]:
    """Run trials in processes of their own and yield each when it is done."""
    context = multiprocessing.get_context("spawn")
    waiting, running = list(reversed(trials)), {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                trial, evaluated = waiting.pop(), context.Value("l", 0)
                process = context.Process(target=_work, args=(trial, evaluated), daemon=True)
                process.start()
                running[process.sentinel] = process, trial, evaluated
            for sentinel in wait(list(running), _TICK):
                process, trial, _ = running.pop(sentinel)
                process.join()
                if process.exitcode:
                    raise RunError(
                        f"{trial.title} ended with exit code {process.exitcode}; its message is "
                        "above, and the same command goes on where it stopped"
                    )
                yield trial
            for _, trial, evaluated in running.values():
                report(trial, evaluated.value, None)
    finally:
        for process, _, _ in running.values():
            process.terminate()
        for process, _, _ in running.values():
            process.join()


def _work(trial: Trial, evaluated: Any) -> None:
    """Run a trial in a process of its own; the parent is who is interrupted and ends it."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    torch.set_num_threads(1)

    def observe(history: History) -> None:
        evaluated.value = len(history.candidates)

    try:
        run_trial(trial, observe)
    except EvosearchError as error:
        sys.exit(f"{trial.title}: {error}")


def _change(found: Config, trial: Trial) -> str:
    """Return the first section in which two configurations differ."""
    theirs, asked = (config.model_dump(mode="json") for config in (found, trial.config))
    return next(f"`{key}` differs" for key in asked if theirs[key] != asked[key])
