"""Evaluation that hangs, crashes, exits or raises where a candidate's program asks for it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

from fake_evaluation import perform as fake

from evosearch.language.known import known
from evosearch.training.job import Job
from evosearch.workers.executor import AnyJob, Timed

EXITS, HANGS, RAISES, CRASHES, IGNORES = (
    str(known(name)) for name in ("signsgd", "nesterov", "adam", "rmsprop", "signum")
)
FLAKY = str(known("momentum"))
"""Kills its process the first time, and the first time only."""


def perform(job: AnyJob) -> Timed:
    """Do what the candidates ask for; the folder for notes comes from the environment."""
    for text in job.candidates if isinstance(job, Job) else ():
        if text == EXITS:
            sys.exit(3)
        if text == HANGS:
            time.sleep(3600)
        if text == RAISES:
            raise ZeroDivisionError("a bug of ours")
        if text == CRASHES:
            ctypes.string_at(0)
        if text == IGNORES:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            while True:
                sum(range(1000))
        if text == FLAKY and not (note := Path(os.environ["EVOSEARCH_TEST_NOTES"])).exists():
            note.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return fake(job)
