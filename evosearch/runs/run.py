"""A run: a directory that a search writes and everybody may read, also while it goes on.

    run = Run.create("runs/first", preset("quickstart"))
    run = run.search()
    for candidate in run.top(3):
        print(candidate.id, candidate.score, candidate.program)

Its journal is the truth (`evosearch.storage.journal`), and everything said here follows from that.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from evosearch.config.preflight import check_search, check_tasks, require_same
from evosearch.config.sections import foresight
from evosearch.errors import ConfigError, RunError, UsageError
from evosearch.runs.history import FINISHED, History
from evosearch.storage.journal import Bodies, Journal, lock_run, read, require_vacant, scan
from evosearch.storage.lock import Holder
from evosearch.storage.repair import set_aside_parts
from evosearch.training.score import EXCESS_LOSS, STEPS

if TYPE_CHECKING:
    from evosearch.config.preflight import Imprint
    from evosearch.config.schema import Config
    from evosearch.runs.candidate import Candidate
    from evosearch.runs.front import Recommendation
    from evosearch.workers.executor import Executor

__all__ = ["HALL_OF_FAME", "Observe", "Run", "hall_of_fame_rows", "rebuild"]

Observe = Callable[[History], None]
"""Is shown the sum of all records after new ones; what it raises ends the search safely."""

HALL_OF_FAME: Final = 20
"""Candidates of each kind, confirmed and seen once, in the hall of fame's files."""
_REFRESH: Final = 5.0
"""Seconds between writings of the hall of fame, at least."""
_SHARE: Final = 0.01
"""What of the time writing it may take; new leaders have to be recognized first."""
_SEAL_EVERY: Final = 512
"""Journal records between Parquet parts."""


class Run:
    """A run as it was when it was opened; open it again to see more.

    Attributes:
        directory: The run directory.
        manifest: Configuration, seeds, versions, hardware.
        history: The sum of its records.
    """

    def __init__(self, directory: Path, manifest: Mapping[str, Any], history: History) -> None:
        self.directory = directory
        self.manifest = manifest
        self.history = history

    @classmethod
    def create(cls, directory: str | os.PathLike[str], config: Config) -> Self:
        """Start a run in a directory that is empty or does not exist yet; nothing is evaluated.

        Raises:
            RunExists: There is something in the directory.
            DataError: A task's data cannot be read.
            RunError: The directory cannot be written.
        """
        from evosearch.runs.manifest import manifest

        directory = Path(directory)
        require_vacant(directory)
        check_search(config)
        with Journal.create(directory, manifest(config)) as journal:
            return cls(directory, journal.manifest, History())

    @classmethod
    def open(cls, directory: str | os.PathLike[str]) -> Self:
        """Read a run; it may be in progress.

        Raises:
            RunNotFound: There is no run.
            NewerFormat: It was written by a newer version.
            CorruptArchive: Its journal is damaged.
        """
        directory = Path(directory)
        manifest = next(scan(directory)).body
        return cls(directory, manifest, History.open(directory))

    def __repr__(self) -> str:
        count = len(self.history.candidates)
        return f"<Run {self.directory}: {self.state}, {count:,} candidates>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the finding and the hall of fame."""
        from evosearch.runs.excerpt import excerpt

        return excerpt(self)

    @cached_property
    def config(self) -> Config:
        """Its configuration.

        Raises:
            ConfigError: This version does not understand it.
        """
        from evosearch.config.schema import configure

        origin = f"the configuration of {self.directory}"
        try:
            return configure(dict(self.manifest["config"]), (), origin)
        except ConfigError as error:
            own = self.manifest.get("own_tasks")
            if not own or "unknown task" not in str(error):
                raise
            raise ConfigError(
                f"{str(error).partition(';')[0]}. The run was started with tasks from "
                f"{' and '.join(own)}; name them again: --tasks {own[0]}, or for every command "
                f"export EVOSEARCH_TASKS={os.pathsep.join(own)}"
            ) from None

    @property
    def unit(self) -> str:
        """What its scores are the logarithm of, in words."""
        return STEPS if self.manifest["config"].get("elasticity") else EXCESS_LOSS

    @property
    def foresight(self) -> str:
        """How well its scores foretell what is known at scale, in words."""
        return foresight(self.manifest["config"].get("calibration"))

    @property
    def budget(self) -> int:
        """How many candidates it evaluates in all; the configuration's unless it was extended."""
        return self.history.extended or self.manifest["config"]["budget"]["evaluations"]

    @property
    def writer(self) -> Holder | None:
        """The process that writes to it now, or None."""
        holder = Holder.read(self.directory / "lock")
        running = holder is not None and (not holder.same_machine or holder.alive)
        return holder if running else None

    @property
    def state(self) -> str:
        """Whether it is "finished", "running" or, neither of them, "stopped"."""
        if self.history.finished:
            return "finished"
        return "running" if self.writer else "stopped"

    def top(self, n: int = 10, confirmed: bool | None = None) -> list[Candidate]:
        """Return the best candidates, best first.

        Those that were evaluated again, on seeds that did not pick them, come before those that
        were not: a score of a single evaluation is partly luck.

        Args:
            n: How many.
            confirmed: Only those that were evaluated again, or only those that were not.
        """
        return self.history.top(n, confirmed)

    def candidate(self, id_: int) -> Candidate:
        """Return a candidate.

        Raises:
            UsageError: There is none of that id.
        """
        return self.history.candidate(id_)

    def front(self, by: str = "statements") -> list[Candidate]:
        """Return the best candidates for what they take, cheapest first.

        Each is better than all that take as much or less. Only those evaluated on all tasks so far
        are compared, so scores rise from one to the next.

        Args:
            by: What they take: "statements", "state_memory" or "cost".
        """
        from evosearch.runs.front import front

        return front(self, by)

    def recommend(self) -> Recommendation | None:
        """Return the candidate to use and why: the smallest that cannot be told from the best."""
        from evosearch.runs.front import recommend

        return recommend(self.top(HALL_OF_FAME))

    def lineage(self, id_: int) -> list[Candidate]:
        """Return a candidate and all that it descends from, itself first, then younger to older.

        Raises:
            UsageError: There is none of that id.
        """
        return self.history.ancestors(id_)

    def programs(self) -> Any:
        """Return all candidates as a `pyarrow.Table`, by id, as they are on disk now.

        One row each with the columns of `candidates` in `evosearch.storage.parquet.TABLES`, whose
        meanings are also the fields' metadata. ``.to_pandas()`` makes it a data frame.

        Raises:
            CorruptArchive: The journal is damaged.
        """
        from evosearch.storage.seal import candidates

        return candidates(self.directory)

    def evaluations(self, candidate: int | None = None) -> Any:
        """Return all trainings as a `pyarrow.Table`, or those of one candidate, as on disk now.

        One row for each learning rate, task and seed with the columns of `evaluations` in
        `evosearch.storage.parquet.TABLES`. For a large run name a candidate, or query the Parquet
        files themselves: there may be millions of rows.

        Raises:
            CorruptArchive: The journal is damaged.
        """
        from evosearch.storage.seal import evaluations

        return evaluations(self.directory, candidate)

    def digest(self) -> str:
        """Return the hash of its history, the same for every run of one configuration and seed."""
        from evosearch.storage.digest import digest

        return digest(read(self.directory))

    def extend(self, evaluations: int) -> Self:
        """Raise its budget; the next `search` goes on to it. With the budget it has, do nothing.

        The history up to the old budget is that of a run that was not extended, its end included:
        the best are confirmed there, and again at the new end. So it does not matter when this is
        asked for, before or after the run has come so far.

        Args:
            evaluations: The new budget, candidates in all.

        Returns:
            The run as it is afterwards.

        Raises:
            UsageError: The budget would shrink.
            RunInUse: Another process writes to it.
            RunError: It cannot be written.
            CorruptArchive: Its journal is damaged.
        """
        with Journal.open(self.directory) as journal:
            history = History.open(self.directory)
            run = type(self)(self.directory, journal.manifest, history)
            if evaluations < run.budget:
                raise UsageError(
                    f"expected a budget of {run.budget:,} evaluations or more, found "
                    f"{evaluations:,}: a budget can grow only, because what comes before its end "
                    f"is fixed; {len(history.candidates):,} are done. To stop early use "
                    "`--time-limit` or Ctrl-C"
                )
            if evaluations > run.budget:
                info = {"notices": journal.notices}
                record = {"kind": "extended", "evaluations": evaluations, "info": info}
                journal.append(record)
                history.take(record)
        return run

    def search(self, executor: Executor | None = None, observe: Observe = lambda _: None) -> Self:
        """Go on where the journal ends, up to the end of the budget.

        Any exception ends the search, also KeyboardInterrupt; what was committed stays, and the
        next call goes on from there.

        Args:
            executor: Where candidates are evaluated; this process unless given.
            observe: Called at first and after new records.

        Returns:
            The run as it is afterwards.

        Raises:
            RunInUse: Another process writes to it.
            RunError: It cannot be written.
            CorruptArchive: Its journal is damaged, or not what this version would have written.
            DataError: A task's data or code are not those that its baseline was tuned on.
        """
        from evosearch.evolution.loop import search
        from evosearch.workers.executor import LocalExecutor

        config = self.config
        executor = executor or LocalExecutor()
        with Journal.open(self.directory) as journal:
            records = Bodies(self.directory)
            if notice := set_aside_parts(self.directory, journal.sequence):
                journal.append({"kind": "fault", "message": notice})
            scribe = _Scribe(journal, History.open(self.directory), executor, observe)
            if scribe.history.finished:
                return type(self)(self.directory, journal.manifest, scribe.history)
            imprints = self._same_tasks(scribe.history)
            if journal.sequence > 1 or journal.notices:
                journal.append({"kind": "resumed", "info": {"notices": journal.notices}})
            observe(scribe.history)
            try:
                search(config, executor, scribe.append, records, imprints=imprints)
            except BaseException:
                with suppress(RunError):  # what ended the search is the news
                    scribe.publish()
                raise
            scribe.append([{"kind": "note", "text": FINISHED}])
            scribe.publish()
        return type(self)(self.directory, journal.manifest, scribe.history)

    def _same_tasks(self, history: History) -> dict[str, Imprint]:
        """Return the imprints of the tasks, which must be those of the baselines there are.

        Raises:
            DataError: They are not.
        """
        imprints = check_tasks(self.config)
        for task, baseline in history.baselines.items():
            if baseline.imprint is not None and task in imprints:
                require_same(task, baseline.imprint, imprints[task], "this run")
        return imprints


def rebuild(directory: Path) -> None:
    """Write all files that are derived from a run's journal again.

    Raises:
        RunInUse: The run is being written.
        RunError: They cannot be written.
        CorruptArchive: The journal is damaged, or ends before what parts say; nothing is changed.
    """
    from evosearch.storage.seal import rebuild as rebuild_parts

    rebuild_parts(directory)
    lock = lock_run(directory)
    try:
        total = sum(1 for _ in scan(directory))
        _write_hall_of_fame(directory, History.open(directory), total)
    finally:
        lock.release()


def hall_of_fame_rows(history: History) -> list[dict[str, Any]]:
    """Return the rows of the hall of fame's files: the confirmed, then those seen once."""
    best = (*history.top(HALL_OF_FAME, True), *history.top(HALL_OF_FAME, False))
    return [candidate.to_json() for candidate in best]


def _write_hall_of_fame(directory: Path, history: History, sequence: int) -> None:
    from evosearch.storage.hall_of_fame import write_hall_of_fame

    try:
        write_hall_of_fame(directory, hall_of_fame_rows(history), sequence)
    except OSError as error:
        raise RunError(
            f"expected to write the hall of fame to {directory}, but: {error}. The journal has "
            f"all results; make room and run `evosearch resume {directory}`."
        ) from error


class _Scribe:
    """Writes records, and what is derived from them, for people."""

    def __init__(
        self, journal: Journal, history: History, executor: Executor, observe: Observe
    ) -> None:
        self.history = history
        self._journal = journal
        self._executor = executor
        self._observe = observe
        self._reported = len(executor.faults)
        self._due = time.monotonic() + _REFRESH
        self._sealed = journal.sequence

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        faults = self._executor.faults[self._reported :]
        self._reported += len(faults)
        written = [*({"kind": "fault", "message": fault} for fault in faults), *records]
        self._journal.append_many(written)
        for item in written:
            self.history.take(item)
        if time.monotonic() > self._due:
            self._write_hall_of_fame()
        if self._journal.sequence - self._sealed >= _SEAL_EVERY:
            self._seal(full=True)
        self._observe(self.history)

    def publish(self) -> None:
        """Bring all derived files up to date."""
        self._write_hall_of_fame()
        self._seal()

    def _seal(self, full: bool = False) -> None:
        from evosearch.storage.seal import seal

        seal(self._journal.directory, full=full)
        self._sealed = self._journal.sequence

    def _write_hall_of_fame(self) -> None:
        start = time.monotonic()
        _write_hall_of_fame(self._journal.directory, self.history, self._journal.sequence)
        end = time.monotonic()
        self._due = end + max(_REFRESH, (end - start) / _SHARE)
