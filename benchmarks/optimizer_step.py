"""Time and memory of one step of exported optimizers, beside the reference implementations.

The parameters have the shapes of GPT-2: 124 M on a GPU, a smaller copy on a CPU. Every round times
each optimizer once, in turn, so that a slow moment of the machine is nobody's loss; on a CPU
processor time counts. Reported are medians over rounds and their quartiles, and the peak of what
a step allocates besides parameters, gradients and states. The last line is one JSON object: ratios
below 1 are in favour of the exported optimizer.

    python benchmarks/optimizer_step.py
    python benchmarks/optimizer_step.py --device cuda --rounds 50
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator
from types import ModuleType

import lion_pytorch
import torch
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.profiler import ProfilerActivity, profile

from evosearch.export import export
from evosearch.language.known import known

Make = Callable[[list[Parameter]], list[Optimizer]]

POSITIONS = 1024
"""Rows of GPT-2's table of positions."""


def shapes(width: int, layers: int, vocabulary: int) -> Iterator[tuple[int, ...]]:
    """Yield the shapes of a GPT-2's parameters; the head is tied to the embedding."""
    yield from ((vocabulary, width), (POSITIONS, width))
    for _ in range(layers):
        yield from ((width,), (width,), (3 * width, width), (3 * width,), (width, width), (width,))
        yield from (
            (width,),
            (width,),
            (4 * width, width),
            (4 * width,),
            (width, 4 * width),
            (width,),
        )
    yield from ((width,), (width,))


def exported(name: str) -> type[Optimizer]:
    """Return the exported class of a known optimizer."""
    module = ModuleType(name)
    exec(compile(export(known(name)), name, "exec"), vars(module))
    return getattr(module, module.__all__[0])


def split(params: list[Parameter]) -> tuple[list[Parameter], list[Parameter]]:
    """Return hidden matrices, and all others: vectors, and the two tables that come first."""
    hidden = [p for p in params[2:] if p.ndim == 2]
    return hidden, [*params[:2], *(p for p in params[2:] if p.ndim != 2)]


def contenders() -> dict[str, dict[str, Make]]:
    """Return, for each comparison, the exported optimizer first and then its references."""
    lion, muon = exported("lion"), exported("muon")
    precision = torch.bfloat16  # as torch's, which knows no other
    adam = {"lr": 3e-4, "betas": (0.9, 0.95), "eps": 1e-10}

    def groups(params: list[Parameter]) -> list[dict]:
        hidden, rest = split(params)
        return [
            {"params": hidden, "use_matrix_rule": True},
            {"params": rest, "use_matrix_rule": False, "lr": 3e-4},
        ]

    def torch_muon(params: list[Parameter]) -> list[Optimizer]:
        hidden, rest = split(params)
        return [torch.optim.Muon(hidden, lr=0.02), torch.optim.AdamW(rest, foreach=True, **adam)]

    return {
        "lion": {
            "exported Lion": lambda ps: [lion(ps, lr=1e-4, weight_decay=0.1)],
            "lion-pytorch": lambda ps: [lion_pytorch.Lion(ps, lr=1e-4, weight_decay=0.1)],
            "torch AdamW(foreach)": lambda ps: [
                torch.optim.AdamW(ps, lr=1e-4, weight_decay=0.1, foreach=True)
            ],
        },
        "muon": {
            "exported Muon": lambda ps: [muon(groups(ps), weight_decay=0.1, ns_dtype=precision)],
            "torch Muon + AdamW": torch_muon,
        },
        "muon, hidden matrices": {
            "exported Muon": lambda ps: [muon(split(ps)[0], weight_decay=0.1, ns_dtype=precision)],
            "torch Muon": lambda ps: [torch.optim.Muon(split(ps)[0], lr=0.02)],
        },
    }


def measure(makes: dict[str, Make], sizes: list[tuple[int, ...]], device: str, rounds: int) -> dict:
    """Return seconds a step (a list of rounds) and the peak of temporary bytes of each."""
    results = {name: {"seconds": [], "bytes": 0} for name in makes}
    runs = {}
    for name, make in makes.items():
        generator = torch.Generator(device).manual_seed(0)
        params = [Parameter(torch.randn(s, device=device, generator=generator) / 10) for s in sizes]
        for p in params:
            p.grad = torch.randn(p.shape, device=device, generator=generator)
        runs[name] = make(params)
        for _ in range(3):
            step(runs[name], device)
        results[name]["bytes"] = peak(runs[name], device)
    clock = time.perf_counter if device == "cuda" else time.process_time
    gc.disable()
    for _ in range(rounds):
        for name, optimizers in runs.items():
            start = clock()
            step(optimizers, device)
            results[name]["seconds"].append(clock() - start)
    gc.enable()
    return results


def peak(optimizers: list[Optimizer], device: str) -> int:
    """Return how many bytes more than before are allocated at some moment of a step."""
    if device == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step(optimizers, device)
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        step(optimizers, device)
    assert recorded.profiler is not None
    assert recorded.profiler.kineto_results is not None
    events = [e for e in recorded.profiler.kineto_results.events() if e.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return max(itertools.accumulate(changes), default=0)


def step(optimizers: list[Optimizer], device: str) -> None:
    """Take one step and wait for it."""
    for optimizer in optimizers:
        optimizer.step()
    if device == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--width", type=int)
    parser.add_argument("--layers", type=int)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    width, layers, vocabulary = (768, 12, 50257) if options.device == "cuda" else (256, 4, 16384)
    width, layers = options.width or width, options.layers or layers
    sizes = list(shapes(width, layers, vocabulary))
    entries = sum(torch.Size(s).numel() for s in sizes)
    on_gpu = options.device == "cuda"
    hardware = torch.cuda.get_device_name() if on_gpu else f"CPU, {options.threads} threads"
    print(f"{entries / 1e6:.1f} M parameters, {hardware}, torch {torch.__version__}")

    summary: dict[str, object] = {"device": hardware, "parameters": entries}
    for title, makes in contenders().items():
        print(f"\n{title}, {options.rounds} rounds")
        results = measure(makes, sizes, options.device, options.rounds)
        (_, own), *references = results.items()
        for name, result in results.items():
            low, median, high = statistics.quantiles(result["seconds"], n=4)
            times = f"{median * 1e3:8.2f} ms ({low * 1e3:.2f} to {high * 1e3:.2f})"
            print(f"  {name:22} {times}, {result['bytes'] / 2**20:.1f} MiB of temporaries")
        for name, reference in references:
            pairs = zip(own["seconds"], reference["seconds"], strict=True)
            low, median, high = statistics.quantiles([mine / its for mine, its in pairs], n=4)
            memory = own["bytes"] / reference["bytes"]
            print(f"  {median:.2f} ({low:.2f} to {high:.2f}) of {name}, memory {memory:.2f}")
            summary[f"{title} / {name}"] = round(median, 3)
            summary[f"{title} / {name}, memory"] = round(memory, 3)
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
