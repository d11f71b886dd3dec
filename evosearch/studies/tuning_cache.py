"""What was tuned before: an executor that computes a tuning once and keeps it in a folder.

A comparison that was interrupted goes on where it was, and one with a contender more computes that
one alone. A file is found by everything that determines its result: the job, the task's imprint,
the source of a class, and the versions of what computes.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evosearch.config.preflight import Imprint
from evosearch.runs.manifest import revision, versions
from evosearch.storage.atomic_write import write_atomic
from evosearch.training.optimizer_class import OptimizerClass
from evosearch.training.tuner import Attempt, Tuned, TuningJob
from evosearch.workers.executor import AnyJob, Executor, Timed

__all__ = ["CachedExecutor"]


class CachedExecutor:
    """Computes with another executor what the folder does not have.

    Args:
        executor: Computes.
        folder: Keeps what comes out; made when something does.
        imprints: Of the tasks, by their keys.
    """

    def __init__(self, executor: Executor, folder: Path, imprints: Mapping[str, Imprint]) -> None:
        self._executor, self._folder, self._imprints = executor, folder, imprints
        self._jobs: dict[int, Path] = {}
        self.on_fault: Callable[[str], None] = lambda _: None
        executor.on_fault = self._tell
        self._known: dict[int, Timed] = {}
        self.spent = 0.0
        """Seconds that the last job took now; 0 if it was known."""

    @property
    def workers(self) -> int:
        """How many jobs run at the same time."""
        return self._executor.workers

    @property
    def faults(self) -> list[str]:
        """What went wrong with the machinery so far."""
        return self._executor.faults

    def _tell(self, fault: str) -> None:
        self.on_fault(fault)

    def submit(self, number: int, job: AnyJob) -> None:
        """Accept a job; a tuning that is known is not computed."""
        if isinstance(job, TuningJob):
            path = self.place(job)
            if (found := _read(path)) is not None:
                self._known[number] = found, 0.0
                return
            self._jobs[number] = path
        self._executor.submit(number, job)

    def ready(self, number: int) -> bool:
        """Whether `collect` returns at once."""
        return number in self._known or self._executor.ready(number)

    def collect(self, number: int) -> Timed:
        """Return a job's result and the seconds it took now; keep it."""
        if number in self._known:
            result, self.spent = self._known.pop(number)
            return result, self.spent
        result, seconds = self._executor.collect(number)
        self.spent = seconds
        path = self._jobs.pop(number, None)
        if path is not None and isinstance(result, Tuned):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, json.dumps(asdict(result)) + "\n")
        return result, seconds

    def close(self) -> None:
        """Stop the other executor."""
        self._executor.close()

    def knows(self, job: TuningJob) -> bool:
        """Whether a job's result is there."""
        return _read(self.place(job)) is not None

    def place(self, job: TuningJob) -> Path:
        """Return the file of a job's result."""
        made = [asdict(axis) | {"kind": axis.kind.name} for axis in job.optimizer.axes]
        start = job.optimizer.start
        key = {
            "axes": made,
            "start": start,
            "source": _source(start),
            "task": str(job.task),
            "imprint": dict(self._imprints[str(job.task)]),
            "seeds": [job.run_seed, job.tuning, job.reporting],
            "descent": asdict(job.descent),
            "versions": versions(),
            "revision": revision(),
        }
        digest = hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()
        return self._folder / f"{digest[:32]}.json"


def _source(text: str) -> str:
    """Return the digest of a class's code; nothing of a program, which is its text."""
    if not OptimizerClass.is_text(text):
        return ""
    made = OptimizerClass.parse(text)
    if made.place.endswith(".py"):
        return hashlib.sha256(Path(made.place).read_bytes()).hexdigest()
    try:
        return hashlib.sha256(inspect.getsource(made.load()).encode()).hexdigest()
    except (OSError, TypeError):  # of compiled code
        return ""


def _read(path: Path) -> Tuned | None:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        trials = tuple(
            Attempt(**{**row, "constants": tuple(row["constants"])}) for row in data["trials"]
        )
        lists = {key: tuple(data[key]) for key in ("seeds", "values", "edges")}
        return Tuned(**{**data, **lists, "trials": trials})
    except (OSError, ValueError, KeyError, TypeError):  # not there, or not of this version
        return None
