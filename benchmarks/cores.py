"""Do cores train as their programs do? Random children against their cores over 1,000 steps.

    python -m benchmarks.cores [--children 1500] [--steps 1000] [-o benchmarks/results/cores.json]

Children of AdamW, Muon and SGD, by one to five edits, are run in float32 with subnormal numbers
flushed, as lanes are, on gradients that no probe has, of another shape and at two scales. The
updates of a core may differ from its program's by one positive factor. Takes a quarter of an hour.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from evosearch.equivalence.shrink import outline, shrink
from evosearch.evolution.offspring import Child, offspring
from evosearch.language.known import known
from evosearch.language.liveness import strip
from evosearch.language.rule import Rule, RuleSet
from evosearch.mutation.rng import Rng
from evosearch.mutation.space import Space
from evosearch.training.codegen import compile_rule
from evosearch.training.lanes import arithmetic

STARTS = ("adamw", "muon", "sgd")
SCALES = (1.0, 1e-2)
LIMIT = 0.01


def children(count: int) -> Iterator[RuleSet]:
    """Yield random descendants of the starts, none equal to another."""
    rng, space, seen = Rng("cores"), Space(), set[str]()
    families: list[list[RuleSet]] = [[known(name)] for name in STARTS]
    for k in range(count):
        family = families[k % len(families)]
        child: Child | None = None
        while child is None:
            child = offspring(rng.pick(family[-50:]), space, rng, seen, drift=0.5)
        seen.add(child.fingerprint)
        family.append(child.rules)
        if len(family) > 50 and rng.chance(0.1):
            del family[1:]  # begin anew: depth varies
        yield child.rules


def updates(rule: Rule, steps: int) -> Tensor:
    """Return the updates (steps, scales, entries) of a rule, as lanes compute them."""
    generator = torch.Generator().manual_seed(77)
    shape = (len(SCALES), 5, 7)
    scales = torch.tensor(SCALES).view(-1, 1, 1)
    mean = 0.5 * torch.randn(5, 7, generator=generator)
    size = 10.0 ** (torch.rand(5, 7, generator=generator) - 0.7)
    noise = torch.randn(steps, 1, 5, 7, generator=generator)
    w = torch.randn(5, 7, generator=generator).expand(shape).contiguous()
    compiled = compile_rule(rule)
    states = [torch.zeros(len(SCALES), *s.sizes(5, 7)) for s in compiled.states]
    found = []
    for t in range(1, steps + 1):
        g = scales * size * (mean + noise[t - 1])
        u, *states = compiled.update(w, g, float(t), *(s.clone() for s in states))
        found.append(u.expand(shape).flatten(1).clone())
    return torch.stack(found).double()


def apart(a: Tensor, b: Tensor) -> float:
    """Return the largest relative difference of a step's updates, up to one positive factor."""
    if not torch.equal(a.isfinite(), b.isfinite()):
        return float("inf")
    if not a.isfinite().all():
        return 0.0 if torch.equal(a.nan_to_num(), b.nan_to_num()) else apart(*map(_finite, (a, b)))
    size, other = a.square().mean().sqrt(), b.square().mean().sqrt()
    if not size or not other:
        return 0.0 if size == other else float("inf")
    a, b = a / size, b / other
    each = torch.linalg.vector_norm(a, dim=-1)
    floor = 1e-3 * each.amax(0)
    return float((torch.linalg.vector_norm(a - b, dim=-1) / each.maximum(floor)).nan_to_num().max())


def _finite(x: Tensor) -> Tensor:
    """Return the steps before the first that is not finite."""
    bad = (~x.isfinite()).flatten(1).any(1)
    return x[: int(bad.int().argmax())] if int(bad.int().argmax()) else torch.zeros(1, *x.shape[1:])


def main() -> None:
    """Compare, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--children", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    deviations, seconds, plain_seconds, kept, shrunk = [], 0.0, 0.0, 0, 0
    worst: list[tuple[float, str, str]] = []
    for rules in children(options.children):
        start = time.process_time()
        outline(rules)
        middle = time.process_time()
        core = shrink(rules).matrix
        plain_seconds += middle - start
        seconds += time.process_time() - middle
        genome = strip(rules.matrix)
        shrunk += len(core.body) < len(genome.body)
        kept += len(core.body) > len(outline(rules).matrix.body)
        if core == genome:
            deviations.append(0.0)
            continue
        with arithmetic():
            deviations.append(apart(updates(genome, options.steps), updates(core, options.steps)))
        if deviations[-1] > LIMIT:
            worst.append((deviations[-1], str(genome), str(core)))
    result = {
        "children": len(deviations),
        "steps": options.steps,
        "smaller_than_their_programs": shrunk,
        "larger_than_by_fingerprint_alone": kept,
        "deviating_by_more_than_a_hundredth": sum(d > LIMIT for d in deviations),
        "largest": max(deviations),
        "milliseconds_of_the_fingerprints": round(1e3 * plain_seconds / len(deviations), 2),
        "milliseconds_of_the_late_steps": round(1e3 * seconds / len(deviations), 2),
    }
    text = json.dumps(result, indent=2)
    print(text)
    for deviation, genome, core in worst:
        print(f"{deviation:.3g}\n{genome}\n{core}")
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
