"""Models and optimizers of one's own: agreement, false positives, and the price of convenience.

    python -m benchmarks.own_models agreement -o benchmarks/results/own_models_agreement.json
    python -m benchmarks.own_models disguise -o benchmarks/results/own_models_disguise.json
    python -m benchmarks.own_models mistuned -o benchmarks/results/own_models_mistuned.json
    python -m benchmarks.own_models speed -o benchmarks/results/own_models_speed.json

`agreement` compares known optimizers as programs and as classes, with all that is tuned alike;
`disguise` counts how often AdamW under another name is declared better than tuned AdamW; `mistuned`
says what becomes of a contender whose learning rates were looked for in the wrong place; `speed`
has ratios of processor time, one thread, sides in turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch.nn.functional import cross_entropy

from benchmarks import plain
from evosearch.config.schema import Config, configure
from evosearch.language.known import known
from evosearch.runs.manifest import hardware, versions
from evosearch.studies.compare import Comparison, compare
from evosearch.studies.statistics import interval, wilson
from evosearch.training.batching import train_entries
from evosearch.training.evaluate import compile_text
from evosearch.training.lanes import Entry, LearningRates, arithmetic
from evosearch.training.module_task import task
from evosearch.training.optimizer_class import OptimizerClass
from evosearch.training.tuner import Descent
from evosearch.workers.executor import LocalExecutor
from proxy_tasks.data.corpus import VOCABULARY, corpus
from proxy_tasks.data.digits import TRAINING, digits
from proxy_tasks.registry import get
from proxy_tasks.task import Task

PAIRS: Final = (
    ("lion", "lion_pytorch:Lion"),
    ("adamw", "torch.optim:AdamW(weight_decay=0.0)"),
    ("muon", "torch.optim:Muon(weight_decay=0.0)"),
)
"""Programs, and classes of others that compute the same."""
MISTUNED: Final = """
import torch

class Warmed(torch.optim.AdamW):
    # Its first steps, on which its update is measured, are 10,000 times smaller.
    done = 0

    def step(self, closure=None):
        self.done += 1
        for group in self.param_groups:
            group["lr"] *= 1e-4 if self.done <= 8 else 1.0
        return super().step(closure)
"""
CPU: Final = torch.device("cpu")


def _compared(
    optimizers: Sequence[str],
    config: Config,
    *,
    seed: int,
    seeds: int,
    trials: int,
    constants: bool,
) -> Comparison:
    named = [
        (text, OptimizerClass.parse(text) if OptimizerClass.is_text(text) else known(text))
        for text in optimizers
    ]
    return compare(
        named,
        config,
        LocalExecutor(),
        seeds=seeds,
        seed=seed,
        descent=Descent(trials),
        constants=constants,
    )


def agreement(options: argparse.Namespace) -> dict[str, Any]:
    """Compare programs with classes."""
    config = configure({}, (), "agreement", ["digits_mlp", "teacher_student"])
    names = [name for pair in PAIRS for name in pair]
    found = _compared(names, config, seed=0, seeds=options.seeds, trials=16, constants=False)
    by_name = {c.label: c for c in found.contenders}
    rows = []
    for program, made in PAIRS:
        lead = by_name[program].ahead_of(by_name[made])
        total = by_name[program].total
        assert total is not None
        low, high = interval(lead) or (lead.mean, lead.mean)
        rows.append(
            {
                "program": program,
                "class": made,
                "score": total.mean,
                "score_se": total.se,
                "program_minus_class": lead.mean,
                "se": lead.error,
                "interval95": [low, high],
                "pairs": lead.pairs,
                "within_error": low <= 0.0 <= high or abs(lead.mean) < (total.se or 0.0),
            }
        )
        print(rows[-1], flush=True)
    return {"tasks": list(found.references), "rows": rows}


def disguise(options: argparse.Namespace) -> dict[str, Any]:
    """Count how often AdamW as a class, its constants tuned too, is declared better than AdamW."""
    config = configure({}, ["tasks.digits_mlp.steps=40"], "disguise", ["digits_mlp"])
    rows = []
    for seed in range(options.runs):
        found = _compared(
            ["torch.optim:AdamW"],
            config,
            seed=1000 + seed,
            seeds=options.seeds,
            trials=options.trials,
            constants=True,
        )
        (contender,) = found.contenders
        total = contender.total
        assert total is not None
        edges = [edge for t in contender.tuned.values() for edge in t.edges]
        rows.append(
            {"seed": 1000 + seed, "score": total.mean, "se": total.se, "verdict": contender.verdict}
            | {"edges": edges}
        )
        print(rows[-1], flush=True)
    better = sum(row["verdict"] == "better than AdamW" for row in rows)
    worse = sum(row["verdict"] == "worse than AdamW" for row in rows)
    return {
        "runs": len(rows),
        "declared_better": better,
        "share95": wilson(better, len(rows)),
        "declared_worse": worse,
        "rows": rows,
    }


def mistuned(options: argparse.Namespace) -> dict[str, Any]:
    """Tune a contender whose rates are looked for in the wrong place, with few trials and more."""
    config = configure({}, (), "mistuned", ["digits_mlp"])
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "warmed.py"
        file.write_text(MISTUNED, encoding="utf-8")
        for trials in (5, 64):
            found = _compared(
                [f"{file}:Warmed"],
                config,
                seed=0,
                seeds=options.seeds,
                trials=trials,
                constants=False,
            )
            (contender,) = found.contenders
            ((_, tuned),) = contender.tuned.items()
            curve = sorted((t.lr, t.level) for t in tuned.trials if t.lr / t.rest_lr)
            rows.append(
                {
                    "trials": len(tuned.trials),
                    "score": contender.total.mean if contender.total else None,
                    "edges": list(tuned.edges),
                    "still_falls": tuned.attempt.lr in (curve[0][0], curve[-1][0]),
                    "curve": curve,
                }
            )
            print(rows[-1], flush=True)
    return {"rows": rows}


def modules() -> dict[str, tuple[Task, Task, Callable[..., float]]]:
    """Return by name a hand-written task, the same model as a module, and its plain loop."""
    mlp, lm = get("digits_mlp"), get("char_lm")
    x, y = digits(torch.float32, CPU)
    perceptron = task(
        lambda: plain.Perceptron((64, 32, 32, 10)),
        (x[:TRAINING], y[:TRAINING]),
        cross_entropy,
        steps=mlp.steps,
        validation=(x[TRAINING:], y[TRAINING:]),
    )
    text, boundary = corpus(lm.path, lm.megabytes, CPU)  # pyright: ignore[reportAttributeAccessIssue]
    windows = text[: boundary // 33 * 33].view(-1, 33)[:20_000].long()
    held = text[boundary:][: 33 * 128].view(-1, 33).long()
    transformer = task(
        lambda: plain.LanguageModel(lm, VOCABULARY),  # pyright: ignore[reportArgumentType]
        (windows[:, :-1], windows[:, 1:]),
        cross_entropy,
        steps=lm.steps,
        batch=16,
        validation=(held[:, :-1], held[:, 1:]),
    )
    return {
        "digits_mlp": (mlp, perceptron, plain.digits),
        "char_lm": (lm, transformer, plain.language_model),
    }


def _seconds(proxy: Task, lanes: int) -> float:
    """Return processor seconds of a training run among so many, data and end value included."""
    rules = compile_text(str(known("adamw")))
    entries = [Entry(rules, (LearningRates(3e-3, 3e-3),) * (lanes // 2))] * 2
    start = time.process_time()
    with arithmetic():
        list(train_entries(proxy, (0, 1), entries, "cpu"))
    return (time.process_time() - start) / (2 * len(entries[0].trials) * 2)


def speed(options: argparse.Namespace) -> dict[str, Any]:
    """Time hand-written tasks, modules and plain loops in turns; ratios of neighbours count."""
    torch.set_num_threads(1)
    rows = {}
    for name, (written, module, loop) in modules().items():
        lanes, runs = (30, 8) if name == "digits_mlp" else (14, 2)
        _seconds(written, 4), _seconds(module, 4)  # kernels are compiled, data are read
        slower, faster = [], []
        for turn in range(options.turns):
            hand, own = _seconds(written, lanes), _seconds(module, lanes)
            start = time.process_time()
            for seed in range(runs):
                loop(written, plain.Run(plain.OPTIMIZERS["adamw"], 3e-3, 100 * turn + seed))
            single = (time.process_time() - start) / runs
            slower.append(own / hand)
            faster.append(single / own)
            print(
                f"{name}: {own / hand:.2f} x hand-written, {single / own:.2f} x plain", flush=True
            )
        rows[name] = {
            "slower_than_written": _spread(slower),
            "faster_than_plain": _spread(faster),
            "lanes": lanes,
        }
    return rows


def _spread(ratios: Sequence[float]) -> dict[str, float]:
    values = {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}
    return {**values, "n": len(ratios)}


PARTS: Final = {
    "agreement": agreement,
    "disguise": disguise,
    "mistuned": mistuned,
    "speed": speed,
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_models")
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--seeds", type=int, default=8, help="paired seeds a task")
    parser.add_argument("--runs", type=int, default=20, help="comparisons of AdamW with AdamW")
    parser.add_argument("--trials", type=int, default=48, help="points that each may try in them")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args(arguments)
    found = PARTS[options.part](options)
    shown = vars(options) | {"output": None}
    result = {"part": options.part, "options": shown, **found}
    result |= {"versions": versions(), "hardware": hardware()}
    text = json.dumps(result, indent=2, default=str)
    if options.output is not None:
        options.output.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
