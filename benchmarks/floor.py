"""Share of the floor: what a pack's training step costs against its matrix products alone.

    python -m benchmarks.floor [--repetitions 5] [--steps 20] [--tasks micro,lm]

The floor is the time of the batched products that one gradient of the pack performs, on contiguous
operands of the same shapes that stay in the cache, and nothing else, by the kernels that training
uses; `plain_over_floor` is the time of the same by `torch.bmm`. A step is the difference
of a long and a short training run, divided by the steps between them, so that setup and the end
value cancel out. The update's share is what the gradient leaves of a step. All are measured one
after another in each repetition, in seconds of processor time of one thread, and only ratios within
a repetition count. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from evosearch.evolution.garbage import collected_before
from evosearch.language.known import known
from evosearch.training.allocator import keep_freed_memory
from evosearch.training.evaluate import compile_text
from evosearch.training.lanes import Entry, LearningRates, arithmetic, train
from evosearch.training.problem import Problem
from proxy_tasks.kernels.dispatch import by_torch
from proxy_tasks.kernels.matmul import bmm
from proxy_tasks.registry import get

TRIALS = (LearningRates(1e-3, 1e-3),) * 15
"""As many as the default grid has."""
OPTIMIZERS = ("adamw", "lion", "muon")
PRODUCTS = ("bmm", "baddbmm", "baddbmm_")


@dataclass(frozen=True)
class Pack:
    """A task and how many candidates evaluation puts into one of its packs."""

    key: str
    task: str
    candidates: int


PACKS = (Pack("micro", "digits_mlp", 6), Pack("lm", "char_lm", 1))


class Products(TorchDispatchMode):
    """Records the sizes (b, m, k, n) of batched matrix products; products of vectors are none."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, int, int, int]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func.overloadpacket.__name__ in PRODUCTS:
            (b, m, k), n = args[-2].shape, args[-1].shape[2]
            if min(m, k, n) > 1:
                self.sizes.append((b, m, k, n))
        return func(*args, **(kwargs or {}))

    @property
    def flops(self) -> float:
        """Operations of the products."""
        return sum(2.0 * b * m * k * n for b, m, k, n in self.sizes)


def seconds(work: Callable[[], object], times: int = 1) -> float:
    """Return seconds of processor time per call."""
    start = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - start) / times


def gradient_of(problem: Problem, lanes: int) -> Callable[[], None]:
    """Return the gradient of a pack's lanes at their initial weights."""
    flat = problem.initial.repeat(lanes, 1)
    weights = problem.layout.views(flat)
    out = problem.layout.views(torch.zeros_like(flat))
    batch = tuple(x[0].expand(lanes, *x.shape[2:]) for x in problem.batches)
    return lambda: problem.task.gradient(weights, batch, out)


Multiply = Callable[..., Tensor]


def floor_of(
    products: Products, device: str = "cpu", multiply: Multiply = bmm
) -> Callable[[], None]:
    """Return the products alone, those of one size one after another on the same operands."""
    operands: list[tuple[int, Tensor, Tensor, Tensor]] = []
    for (b, m, k, n), count in Counter(products.sizes).items():
        x, y = torch.randn(b, m, k, device=device), torch.randn(b, k, n, device=device)
        operands.append((count, x, y, x.new_empty(b, m, n)))

    def work() -> None:
        for count, x, y, out in operands:
            for _ in range(count):
                multiply(x, y, out=out)

    return work


def step_seconds(pack: Pack, name: str, steps: int) -> float:
    """Return seconds per step of a pack's training."""
    entries = [Entry(compile_text(str(known(name))), TRIALS)] * pack.candidates
    spent: list[float] = []
    for length in (steps, 3 * steps):
        problem = Problem.of(get(pack.task, steps=length), (1,))
        spent.append(seconds(lambda problem=problem: train(problem, entries)))
    return (spent[1] - spent[0]) / (2 * steps)


def measure(pack: Pack, repetitions: int, steps: int) -> dict[str, float]:
    """Print one pack's figures and return their medians."""
    lanes = pack.candidates * len(TRIALS)
    problem = Problem.of(get(pack.task), (1,))
    gradient = gradient_of(problem, lanes)
    gradient()
    with by_torch(), Products() as products:
        gradient()
    counted, declared = products.flops / lanes, problem.task.flops
    assert abs(counted / declared - 1) < 0.02, (counted, declared)
    floor, plain = floor_of(products), floor_of(products, multiply=torch.bmm)
    floor()
    plain()
    for name in OPTIMIZERS:  # what is compiled when first used is not timed
        step_seconds(pack, name, 1)
    rows: dict[str, list[float]] = {"gradient_over_floor": [], "gflops": [], "plain_over_floor": []}
    for _ in range(repetitions):
        base, own = seconds(floor, steps), seconds(gradient, steps)
        rows["plain_over_floor"].append(seconds(plain, steps) / base)
        rows["gradient_over_floor"].append(own / base)
        rows["gflops"].append(products.flops / base / 1e9)
        for name in OPTIMIZERS:
            step = step_seconds(pack, name, steps)
            rows.setdefault(f"{name}_step_over_floor", []).append(step / base)
            rows.setdefault(f"{name}_update_share", []).append(1 - own / step)
            rows.setdefault(f"{name}_microseconds", []).append(step / lanes * 1e6)
    result: dict[str, float] = {}
    print(f"{pack.key}: {lanes} lanes, {declared / 1e6:.2f} MFLOP a lane-step, n {repetitions}")
    for name, values in rows.items():
        result[f"{pack.key}_{name}"] = round(statistics.median(values), 3)
        print(
            f"  {name:24s} {statistics.median(values):8.2f}   "
            f"(range {min(values):.2f} to {max(values):.2f})",
            flush=True,
        )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="A pack's step against its matrix products.")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="calls timed at a time")
    parser.add_argument("--tasks", default="micro,lm")
    options = parser.parse_args()
    keep_freed_memory()
    result: dict[str, float] = {"n": options.repetitions}
    with arithmetic(), collected_before():  # as a search runs
        for pack in PACKS:
            if pack.key in options.tasks.split(","):
                result |= measure(pack, options.repetitions, options.steps)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
