"""An executor without an order: what comes back when must never show in a run."""

from __future__ import annotations

import random

from fake_evaluation import perform

from evosearch.workers.executor import AnyJob, Timed

__all__ = ["Shuffled"]


class Shuffled:
    """An executor whose jobs finish in any order, as early or late as it likes."""

    workers = 7

    def __init__(self, seed: int) -> None:
        self.faults: list[str] = []
        self._random = random.Random(seed)
        self._waiting: dict[int, AnyJob] = {}
        self._done: dict[int, Timed] = {}

    def submit(self, number: int, job: AnyJob) -> None:
        assert number not in self._waiting | self._done
        self._waiting[number] = job
        self._work(self._random.randrange(3))

    def ready(self, number: int) -> bool:
        return number in self._done

    def collect(self, number: int) -> Timed:
        while number not in self._done:
            self._work(1)
        return self._done.pop(number)

    def close(self) -> None:
        self._waiting.clear()

    def _work(self, count: int) -> None:
        chosen = self._random.sample(sorted(self._waiting), min(count, len(self._waiting)))
        for number in chosen:
            result, _ = perform(self._waiting.pop(number))
            self._done[number] = result, self._random.random()
