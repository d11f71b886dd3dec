"""SIGKILL at moments spread over a run's life: what was acknowledged is found again, once.

    python -m benchmarks.kills [--kills 50] [--seed 0]

A search (real proposals, real journal, parts and hall of fame; scores by a formula) is killed while
it commits, while it seals parts, while it resumes, while it is extended and while its report is
written: at the n-th call to the system, or the n-th pack taken from the journal, of that phase. The
process that dies tells each record that is on the disk, as a worker would be told. After each kill
the run must be sound as it lies there, hold every record that was told, byte for byte, and no
candidate twice. At the end its history must be that of a run that nobody disturbed. Exit code 1 and
the first difference otherwise. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.large_run import Enough, FormulaExecutor
from evosearch.config.schema import Config, preset
from evosearch.evolution.population import Population
from evosearch.report.render import render
from evosearch.runs import run as runs
from evosearch.runs.history import History
from evosearch.runs.run import Run, hall_of_fame_rows
from evosearch.storage import atomic_write, seal
from evosearch.storage.hall_of_fame import find_flaws
from evosearch.storage.journal import Journal, read, scan

_CANDIDATES: Final = 1200
_MORE: Final = 800
_AT_ONCE: Final = 32
"""Candidates that a process may evaluate, so that none finishes the run by itself."""
_CALLS: Final = ("write", "fsync", "replace", "open", "close", "ftruncate", "unlink")
_SHARES: Final = {"commit": 16, "seal": 12, "resume": 8, "extend": 6, "report": 8}
"""How many of fifty kills each phase gets."""
_EARLY: Final = {"commit": 12, "seal": 30, "resume": 24, "extend": 8, "report": 6}
"""The latest call of each phase at which it is killed."""

_SEARCH: Final = frozenset({"commit", "seal", "resume"})
"""Those that only a run can be killed in that is not finished."""


class _Countdown:
    """Kills this process at the n-th call, while it is armed."""

    def __init__(self, calls: int) -> None:
        self.left = calls
        self.armed = False

    def tick(self) -> None:
        if self.armed:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def wrapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that ticks before it does its work."""

        def call(*args: Any, **options: Any) -> Any:
            self.tick()
            return function(*args, **options)

        return call

    def arming(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function during which the countdown is armed."""

        def call(*args: Any, **options: Any) -> Any:
            before, self.armed = self.armed, True
            try:
                return function(*args, **options)
            finally:
                self.armed = before

        return call


def settings(monkey: Callable[[object, str, object], None]) -> None:
    """Make parts small and the hall of fame frequent, so that there is something to interrupt."""
    monkey(runs, "_SEAL_EVERY", 12)
    monkey(runs, "_REFRESH", 0.0)
    monkey(runs, "_SHARE", 1.0)


def configuration(seed: int) -> Config:
    budget = (f"budget.evaluations={_CANDIDATES}", "budget.pack=4")
    return preset("quickstart", [f"seed={seed}", *budget])


def work(directory: Path, phase: str, calls: int, pipe: int) -> None:
    """Do what a phase is of, in a process that dies in it."""
    countdown = _Countdown(calls)
    tell(pipe)
    for name in _CALLS:
        setattr(os, name, countdown.wrapped(getattr(os, name)))
    if phase == "commit":
        Journal.append_many = countdown.arming(Journal.append_many)
    elif phase == "seal":
        seal.seal = countdown.arming(seal.seal)
    elif phase == "resume":
        Population.commit = countdown.wrapped(Population.commit)
    if phase == "extend":
        countdown.arming(Run.open(directory).extend)(_CANDIDATES + _MORE)
    elif phase == "report":
        page = render(Run.open(directory))
        countdown.arming(atomic_write.write_atomic)(directory / "report.html", page)
    else:
        run = Run.open(directory)
        countdown.armed = phase == "resume"
        with contextlib.suppress(Enough):
            run.search(FormulaExecutor(_AT_ONCE, one_by_one=True))


def tell(pipe: int) -> None:
    """Tell every record that is on the disk, before anything else happens."""
    append_many, write = Journal.append_many, os.write

    def telling(journal: Journal, records: Any) -> range:
        committed = append_many(journal, records)
        write(pipe, "".join(f"{number}\n" for number in committed).encode())
        return committed

    setattr(Journal, "append_many", telling)  # noqa: B010 - a method of another class


def killed(directory: Path, phase: str, calls: int) -> tuple[bool, int]:
    """Let a process work until it is killed; return whether it was, and the last record told."""
    # A new process, not a fork: libraries have threads by now, and their locks would be copied.
    command = [sys.executable, "-m", "benchmarks.kills", "--die", str(directory), phase, str(calls)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in {0, -signal.SIGKILL}:
        raise SystemExit(f"{phase}, call {calls}: ended with {done.returncode}")
    told = [int(line) for line in done.stdout.splitlines()]
    return done.returncode != 0, max(told, default=0)


def examined(directory: Path, known: dict[int, bytes], told: int) -> None:
    """Check a run as a kill left it, and remember its records in `known`.

    Raises:
        SystemExit: A record is lost or changed, a candidate is there twice, or a file is damaged.
    """
    records = {record.sequence: record.payload for record in read(directory)}
    if told > len(records) or any(records.get(n) != payload for n, payload in known.items()):
        raise SystemExit(f"{directory}: of {told} records that were told not all are there")
    known.clear()
    known.update(records)
    ids = Counter(
        row["id"]
        for record in scan(directory)
        if record.kind == "pack"
        for row in record.body["candidates"]
    )
    if sorted(ids) != list(range(len(ids))) or max(ids.values(), default=1) > 1:
        raise SystemExit(f"{directory}: candidates are missing, or there twice")
    flaws = seal.verify(directory)
    flaws += find_flaws(
        directory, len(records), lambda at: hall_of_fame_rows(History.open(directory, at))
    )
    if flaws:
        raise SystemExit("\n".join(flaws))


def main() -> None:
    parser = argparse.ArgumentParser(description="SIGKILL at moments spread over a run's life.")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--die", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.die:
        settings(setattr)
        directory, phase, calls = options.die
        work(Path(directory), phase, int(calls), sys.stdout.fileno())
        return
    settings(setattr)
    start = time.monotonic()
    happened, records = survived(options.kills, options.seed)
    seconds = round(time.monotonic() - start)
    print(
        f"{sum(happened.values())} kills ({dict(happened)}): {records} records, all that were told "
        "are there once; the history is the undisturbed one"
    )
    print(json.dumps({"kills": dict(happened), "records": records, "seconds": seconds}))


def survived(kills: int, seed: int) -> tuple[Counter[str], int]:
    """Kill a run so many times; return the kills by phase and the records of the whole run.

    Raises:
        SystemExit: Something was lost.
    """
    rng = random.Random(seed)
    happened: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        config = configuration(seed)
        calm = Run.create(Path(folder) / "calm", config).search(FormulaExecutor(1 << 40))
        calm.extend(_CANDIDATES + _MORE).search(FormulaExecutor(1 << 40))
        directory = Path(folder) / "killed"
        Run.create(directory, config)
        known: dict[int, bytes] = {}
        told = 1

        def kill(phase: str) -> None:
            """Draw moments until the process came as far as one of them."""
            nonlocal told
            was_killed, calls = False, 0
            while not was_killed:
                packs = max(1, len(known) - 4)
                latest = min(_EARLY[phase], packs) if phase == "resume" else _EARLY[phase]
                calls = rng.randint(1, latest)
                was_killed, last = killed(directory, phase, calls)
                told = max(told, last)
                examined(directory, known, told)
                if not was_killed and Run.open(directory).state == "finished" and phase in _SEARCH:
                    raise SystemExit(f"the run was over before the kills; found {dict(happened)}")
            happened[phase] += 1
            print(f"{sum(happened.values())}: {phase}, call {calls}", file=sys.stderr, flush=True)

        plan = [p for p, n in _SHARES.items() for _ in range(round(n * kills / 50))]
        during = [phase for phase in plan if phase in _SEARCH]
        rng.shuffle(during)
        half = len(during) * 2 // 3
        for phase in during[:half]:
            kill(phase)
        Run.open(directory).search(FormulaExecutor(1 << 40))
        for phase in (phase for phase in plan if phase == "extend"):
            kill(phase)
        Run.open(directory).extend(_CANDIDATES + _MORE)
        for phase in during[half:]:
            kill(phase)
        run = Run.open(directory).search(FormulaExecutor(1 << 40))
        for phase in (phase for phase in plan if phase == "report"):
            kill(phase)
        if run.digest() != Run.open(calm.directory).digest():
            raise SystemExit("the history is not that of a run that nobody disturbed")
        return happened, len(list(scan(directory)))


if __name__ == "__main__":
    main()
