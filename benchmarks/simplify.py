"""Simplification in figures: random programs, bloated optimizers, and Lion's raw program.

    python -m benchmarks.simplify                 # random and bloated programs, a few minutes
    python -m benchmarks.simplify --lion          # and Lion, whose certificate goes to docs/
    python -m benchmarks.simplify --random 1000 --bloated 20

The last line is one JSON object. Every result is checked against the raw program by an interpreter
of its own (`evosearch.simplify.probe.replay`), on probe trajectories of 50 steps.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.bloat import bloated
from benchmarks.random_rule import random_rule
from evosearch.language.known import known
from evosearch.language.parse import parse_rules
from evosearch.language.rule import Rule
from evosearch.mutation.rng import Rng
from evosearch.recognize.recognize import recognize_rule
from evosearch.simplify import shared, simplify, simplify_rule
from evosearch.simplify.probe import deviation, probe, replay
from evosearch.studies.ablate import approximate
from evosearch.studies.noninferiority import NoninferiorityTest

LONGEST = 30
OPTIMIZERS = ("sgd", "nesterov", "adamw", "signum", "lion", "muon")
ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--random", type=int, default=10_000, help="random programs")
    parser.add_argument("--bloated", type=int, default=200, help="bloated programs an optimizer")
    parser.add_argument("--lion", action="store_true", help="simplify Lion's raw program as well")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    if options.random:
        results["random"] = on_random_programs(options.random, options.seed)
    if options.bloated:
        results["bloated"] = on_bloated_programs(options.bloated, options.seed)
    if options.lion:
        results["lion"] = on_lion()
    print(json.dumps(results))


def on_random_programs(count: int, seed: int) -> dict[str, Any]:
    """Figure 2: equal to 1e-9, no crash, no hang, no growth, and how long it takes."""
    seconds: list[float] = []
    core: list[float] = []
    kept: list[float] = []
    worst, grown, crashed, unequal, rejected = 0.0, 0, 0, 0, 0
    for i in range(count):
        rng = Rng(seed, "random", i)
        raw = random_rule(rng, 1 + rng.below(LONGEST))
        start, cpu = time.perf_counter(), time.process_time()
        try:
            final, steps, _ = simplify_rule(raw)
        except Exception as error:  # that there is none is what is shown
            crashed += 1
            log(f"{type(error).__name__}: {error} for program {i}\n{raw}")
            continue
        seconds.append(time.perf_counter() - start)
        core.append(time.process_time() - cpu)
        factor = 1.0
        for step in steps:
            factor *= step.factor if step.accepted else 1.0
        error = compare(raw, final, factor)
        worst = max(worst, error)
        unequal += error > 1e-9
        grown += len(final.body) > len(raw.body)
        kept.append(len(final.body) / len(raw.body))
        rejected += sum(not step.accepted for step in steps)
        if (i + 1) % 1000 == 0:
            log(f"{i + 1} random programs, median {1e3 * statistics.median(seconds):.1f} ms")
    seconds.sort()
    return {
        "programs": count,
        "crashes": crashed,
        "grown": grown,
        "unequal": unequal,
        "largest_deviation": worst,
        "rejected_steps": rejected,
        "sympy_timeouts": shared().timeouts,
        "median_core_ms": round(1e3 * statistics.median(core), 2),
        "median_ms": round(1e3 * statistics.median(seconds), 2),
        "p90_ms": round(1e3 * seconds[int(0.9 * len(seconds))], 2),
        "longest_ms": round(1e3 * seconds[-1], 1),
        "median_size_kept": round(statistics.median(kept), 3),
    }


def compare(raw: Rule, final: Rule, factor: float) -> float:
    """Return the deviation of the final rule's updates, times the factor, from the raw one's."""
    data = probe(flat=raw.elementwise and final.elementwise)
    return deviation(replay(raw, data), [factor * a for a in replay(final, data)])


def on_bloated_programs(count: int, seed: int) -> dict[str, Any]:
    """Figure 3: how many bloated programs come back to their canonical form."""
    back: dict[str, float] = {}
    named: dict[str, float] = {}
    sizes: list[int] = []
    for name in OPTIMIZERS:
        plain = known(name).matrix
        canonical = body(simplify_rule(plain)[0])
        hits = recognized = 0
        for i in range(count):
            rng = Rng(seed, "bloated", name, i)
            raw = bloated(plain, rng, rewrites=3 + rng.below(13))
            sizes.append(len(raw.body))
            hits += body(simplify_rule(raw)[0]) == canonical
            found = recognize_rule(raw)
            recognized += found is not None and found.name == name
        back[name], named[name] = hits / count, recognized / count
        log(f"{name}: {hits} of {count} back, {recognized} recognized raw")
    return {
        "programs": count * len(OPTIMIZERS),
        "median_statements": statistics.median(sizes),
        "back": statistics.mean(back.values()),
        "back_by_optimizer": back,
        "recognized_raw": statistics.mean(named.values()),
        "recognized_raw_by_optimizer": named,
    }


def body(rule: Rule) -> str:
    """Return a rule's text without its name."""
    return str(rule.renamed("rule"))


def on_lion() -> dict[str, Any]:
    """Figure 1: the raw program of the Lion paper, without help."""
    start, cpu = time.perf_counter(), time.process_time()
    path = ROOT / "examples" / "programs" / "lion_raw.program"
    raw = parse_rules(path.read_text(encoding="utf-8"))
    found = approximate(simplify(raw), NoninferiorityTest(), log)
    seconds, core = time.perf_counter() - start, time.process_time() - cpu
    text = CERTIFICATE.format(seconds=seconds, core=core, story=found.story())
    (ROOT / "docs" / "lion_certificate.md").write_text(text, encoding="utf-8")
    return {
        "seconds": round(seconds, 1),
        "core_seconds": round(core, 1),
        "name": str(found.recognition),
        "final": str(found.program),
        "steps": len(found.accepted),
        "rejected": len(found.rejected),
    }


CERTIFICATE = """# How Lion's raw program becomes Lion

The program that the search behind Lion found, as printed in the paper (arXiv 2302.06675,
Program 4), simplified without help in {seconds:.0f} s ({core:.0f} core-seconds, one process) by
`python -m benchmarks.simplify --lion --random 0 --bloated 0`. The authors did the same by hand.

The first steps are exact: each is licensed by a law and checked on probe trajectories (50 steps,
float64; gradients around 1, around 1e-6 and around 1e6, with zeros among them). The later ones are
measured: the program with the change is trained against the program as it stood after the exact
steps, both with rates from one grid, on fresh seeds of search and select tasks. A score is the
logarithm of the ratio of their excess losses, so +0.1 is a tenth less excess loss; brackets are
95 % intervals. A change is made if the whole interval lies above minus the allowed loss. Changes
that were tried and not made are listed as rejected.

```text
{story}```
"""


def log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
