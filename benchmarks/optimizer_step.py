"""Time and memory of one step of exported optimizers, beside the reference implementations.

The parameters have the shapes of GPT-2: 124 M on a GPU, a smaller copy on a CPU. Every round times
each optimizer once, in turn, so that a slow moment of the machine is nobody's loss; reported are
medians over rounds and their quartiles. The last line is one JSON object: ratios below 1 are in
favour of the exported optimizer.

    python benchmarks/optimizer_step.py
    python benchmarks/optimizer_step.py --device cuda --rounds 50
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator
from types import ModuleType

import lion_pytorch
import torch
from torch.nn import Parameter
from torch.optim import Optimizer

from evosearch.export import export
from evosearch.library import known

Make = Callable[[list[Parameter]], list[Optimizer]]


def shapes(width: int, layers: int, vocabulary: int) -> Iterator[tuple[int, ...]]:
    """Yield the shapes of a GPT-2's parameters; the head is tied to the embedding."""
    yield from ((vocabulary, width), (1024, width))
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


def is_hidden(p: Parameter) -> bool:
    """Whether Muon's rule is for it: a matrix that is neither embedding nor table of positions."""
    return p.ndim == 2 and p.shape[0] not in (1024, *EMBEDDINGS)


EMBEDDINGS: set[int] = set()


def split(params: list[Parameter]) -> tuple[list[Parameter], list[Parameter]]:
    """Return hidden matrices and all others."""
    return [p for p in params if is_hidden(p)], [p for p in params if not is_hidden(p)]


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
    results = {name: {"seconds": [], "bytes": None} for name in makes}
    runs = {}
    for name, make in makes.items():
        generator = torch.Generator(device).manual_seed(0)
        params = [Parameter(torch.randn(s, device=device, generator=generator) / 10) for s in sizes]
        for p in params:
            p.grad = torch.randn(p.shape, device=device, generator=generator)
        runs[name] = make(params)
        for _ in range(3):
            step(runs[name], device)
        if device == "cuda":
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            step(runs[name], device)
            results[name]["bytes"] = torch.cuda.max_memory_allocated() - before
    gc.disable()
    for _ in range(rounds):
        for name, optimizers in runs.items():
            start = time.perf_counter()
            step(optimizers, device)
            results[name]["seconds"].append(time.perf_counter() - start)
    gc.enable()
    return results


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
    EMBEDDINGS.add(vocabulary)
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
            memory = "" if result["bytes"] is None else f", {result['bytes'] / 2**20:7.1f} MiB more"
            print(
                f"  {name:22} {median * 1e3:8.2f} ms ({low * 1e3:.2f} to {high * 1e3:.2f}){memory}"
            )
        for name, reference in references:
            ratio = statistics.median(own["seconds"]) / statistics.median(reference["seconds"])
            print(f"  {ratio:.2f} of {name}")
            summary[f"{title} / {name}"] = round(ratio, 3)
            if own["bytes"] is not None:
                summary[f"{title} / {name}, memory"] = round(own["bytes"] / reference["bytes"], 3)
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
