"""Kernels of our own against torch's: products, rows, Newton-Schulz, update rules, whole jobs.

    python -m benchmarks.kernels [--repetitions 15] [--tasks micro,lm]

Each line does the same work by both in turns, on one thread, and prints microseconds a lane and the
ratio of the times, median and range of the repetitions; a repetition is the least of a few calls in
seconds of the clock, so nothing else should run. Products also print GFLOP/s. Jobs are those of
`benchmarks.lanes`, three repetitions in processor time. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Container
from contextlib import nullcontext

import torch

from benchmarks.floor import gradient_of
from benchmarks.lanes import CONTESTS, time_packs
from evosearch.language.known import known
from evosearch.training.allocator import keep_freed_memory
from evosearch.training.codegen import compile_rule
from evosearch.training.lane_kernels import lane_kernels
from evosearch.training.lanes import arithmetic
from evosearch.training.problem import Problem
from proxy_tasks.kernels.attention_rows import softmax_
from proxy_tasks.kernels.dispatch import by_torch, kernels
from proxy_tasks.kernels.matmul import bmm
from proxy_tasks.models.norm import rms_norm_forward
from proxy_tasks.registry import get

PRODUCTS = (
    (32, 64, 64, 90),
    (32, 32, 32, 90),
    (10, 32, 64, 90),
    (512, 32, 128, 6),
    (32, 512, 128, 6),
    (32, 16, 32, 96),
)
"""Rows, inner, columns, lanes: the micro task's and the language model's."""
RULES = ("adamw", "lion", "rmsprop", "momentum")

AnyJob = Callable[[], object]


def least(work: AnyJob, calls: int) -> float:
    """Return the seconds of the quickest call."""
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


class Table:
    """Prints comparisons and keeps them."""

    def __init__(self, repetitions: int) -> None:
        self.repetitions = repetitions
        self.result: dict[str, object] = {"kernels": kernels(), "n": repetitions}

    def compare(
        self,
        label: str,
        lanes: int,
        own: AnyJob,
        other: AnyJob | None = None,
        *,
        flops: float = 0.0,
    ) -> None:
        """Time work by our kernels and by torch; `other` if it is not the same call."""
        rows = []
        for _ in range(self.repetitions):
            mine = least(own, 8)
            with by_torch():
                rows.append((mine, least(other or own, 8)))
        mine, torchs = (statistics.median(row[i] for row in rows) for i in (0, 1))
        self.add(label, [b / a for a, b in rows], mine / lanes, torchs / lanes, flops / lanes)

    def add(
        self, label: str, ratios: list[float], own: float, other: float, flops: float = 0.0
    ) -> None:
        """Print and keep one line; times in seconds."""
        rates = f", {flops / own / 1e9:.0f} and {flops / other / 1e9:.0f} GFLOP/s" if flops else ""
        middle = statistics.median(ratios)
        print(
            f"{label:32s} {own * 1e6:8.2f} us, torch {other * 1e6:8.2f}: {middle:.2f} times "
            f"({min(ratios):.2f} to {max(ratios):.2f}){rates}",
            flush=True,
        )
        self.result[label] = [round(x, 2) for x in (middle, min(ratios), max(ratios))]


def products(table: Table) -> None:
    for m, k, n, lanes in PRODUCTS:
        a, b, out = torch.randn(lanes, m, k), torch.randn(lanes, k, n), torch.empty(lanes, m, n)
        table.compare(
            f"product {m} x {k} x {n}",
            lanes,
            lambda a=a, b=b, out=out: bmm(a, b, out=out),
            flops=2.0 * m * k * n * lanes,
        )


def rows(table: Table) -> None:
    logits, activations = torch.randn(6, 512, 96), torch.randn(6, 512, 32)
    table.compare("softmax of 512 x 96", 6, lambda: softmax_(logits))
    table.compare("norm of 512 x 32", 6, lambda: rms_norm_forward(activations))


def updates(table: Table) -> None:
    iterate = lane_kernels()["newton_schulz"]
    for m, n in ((32, 64), (32, 32), (128, 32)):
        x = torch.randn(15, m, n)
        table.compare(f"Newton-Schulz of {m} x {n}", 15, lambda x=x: iterate(x, 5))
    for entries in (64, 3472, 19456):
        for name in RULES:
            rule = compile_rule(known(name).matrix)
            w, g = torch.randn(30, entries), torch.randn(30, entries)
            states = [torch.zeros_like(w) for _ in rule.states]
            bound = rule.bound(w, g, states)
            if bound is not None:
                table.compare(
                    f"{name}, {entries} entries",
                    30,
                    lambda bound=bound: bound(3.0),
                    lambda rule=rule, w=w, g=g, s=states: rule.update(w, g, 3.0, *s),
                )


def gradients(table: Table) -> None:
    for task, lanes in (("digits_mlp", 90), ("char_lm", 30)):
        table.compare(f"gradient of {task}", lanes, gradient_of(Problem.of(get(task), (1,)), lanes))


def jobs(table: Table, tasks: Container[str]) -> None:
    names = ["adamw", "lion", "muon"] * 2
    for contest in (contest for contest in CONTESTS if contest.key in tasks):
        pairs = []
        for seed in range(4):  # the first is not counted
            seconds = []
            for context in (nullcontext, by_torch):
                with context():
                    seconds.append(time_packs(contest, names, seed))
            pairs.append(seconds)
        own, other = (statistics.median(p[i] for p in pairs[1:]) for i in (0, 1))
        table.add(f"job on {contest.task}", [b / a for a, b in pairs[1:]], own, other)


def main() -> None:
    parser = argparse.ArgumentParser(description="Kernels of our own against torch's.")
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--tasks", default="micro,lm", help="whose jobs are timed")
    options = parser.parse_args()
    keep_freed_memory()
    table = Table(options.repetitions)
    with arithmetic(), torch.inference_mode():
        for part in (products, rows, updates, gradients):
            part(table)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    jobs(table, options.tasks.split(","))
    print(json.dumps(table.result))


if __name__ == "__main__":
    main()
