"""10,000 random programs over the whole language, each taken through all that reads programs.

    python -m benchmarks.random_programs [--programs 10000] [-o random_programs.jsonl]

For each: its text is parsed to the same program; the interpreter, the generated code of lanes and
the exported torch file lead to the same weights in float64, and for every 50th the optax file in
real jax; exact simplification changes no update in float64, and in float32 leaves none further from
float64 than four times the raw program is. Programs whose weights move by more than a billion times
a change of the last digit are chaotic: nothing can follow them, and nothing is said of them. The
file grows a line a program; a second run goes on where the first one stopped. Takes hours on one
core; the last lines count what was found.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.random_rule import random_rule
from evosearch.export import export_optax
from evosearch.export.load import to_optimizer
from evosearch.language.check import check_rules, infer
from evosearch.language.known import KNOWN, known, rest_of
from evosearch.language.parse import parse_rules
from evosearch.language.rule import Rule, RuleSet, Statement, Tie
from evosearch.language.written import read_written
from evosearch.mutation.mutate import mutate
from evosearch.mutation.rng import Rng
from evosearch.mutation.space import Space
from evosearch.simplify import simplify_rule
from evosearch.training.codegen import compile_rule
from primitives.table import OPS

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from interpreter import descended, initial_states, run

SPACE = Space(
    ops=tuple(name for name, op in OPS.items() if not op.keeps),
    max_statements=60,
    max_states=8,
    scope="matrix",
)
KEEPING = [name for name, op in OPS.items() if op.keeps]
STEPS, SHAPE, RATE = 8, (4, 6), 1e-2
OPTAX_EVERY = 50
CHAOTIC = 1e9


def draw(number: int) -> RuleSet:
    """Return a random program: grown from nothing, or out of a known optimizer by random edits.

    Some have named constants, some keep a norm.
    """
    rng = Rng("random programs", number)
    if number % 2:
        rules = RuleSet(known(rng.pick(KNOWN)).matrix)
        for _ in range(1 + rng.below(12)):
            rules, _ = mutate(rules, SPACE, rng)
        rule = rules.matrix.renamed("drawn")
    else:
        rule = random_rule(rng, 2 + rng.below(18), SPACE)
    rule = tied(rule, rng) if rng.chance(0.4) else rule
    if not rule.keeps and rng.chance(0.15):
        step = Statement("kept", rng.pick(KEEPING), (rule.update,))
        longer = replace(rule, body=(*rule.body, step), update="kept")
        rule = longer if infer(longer) is not None else rule
    rest = Rule("rest", (), (Statement("u", "sign", ("g",)),), "u")
    return check_rules(RuleSet(rule, rest))


def tied(rule: Rule, rng: Rng) -> Rule:
    """Return the rule with names for its numbers; a number and 1 minus it have one name."""
    names: dict[float, str] = {}
    body = []
    for s in rule.body:
        ties: list[Tie | None] = []
        for a in s.args:
            if isinstance(a, str) or rng.chance(0.5):
                ties.append(None)
            elif 1.0 - a in names and 1.0 - (1.0 - a) == a:
                ties.append(Tie(names[1.0 - a], 1.0 - a, True))
            else:
                ties.append(Tie(names.setdefault(a, f"c{len(names)}"), a))
        body.append(Statement(s.target, s.op, s.args, tuple(ties)) if any(ties) else s)
    return replace(rule, body=tuple(body))


def noise(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Return initial weights, and a gradient for each step."""
    generator = torch.Generator().manual_seed(5)
    w = torch.randn(SHAPE, generator=generator, dtype=torch.float64)
    g = torch.randn(STEPS, *SHAPE, generator=generator, dtype=torch.float64)
    return w.to(dtype), g.to(dtype)


def interpreted(rule: Rule, w: Tensor, g: Tensor) -> Tensor:
    """Return the weights after all steps."""
    states = initial_states(rule, w)
    for t, x in enumerate(g, start=1):
        u, states = run(rule, w, x + 0.1 * w, float(t), states)
        w = descended(rule, w, u, RATE)
    return w


def generated(rule: Rule, w: Tensor, g: Tensor) -> Tensor:
    """Return the same by the code that lanes run."""
    compiled = compile_rule(rule)
    states = [w.new_zeros(shape.sizes(*w.shape)) for shape in compiled.states]
    for t, x in enumerate(g, start=1):
        u, *states = compiled.update(w, x + 0.1 * w, float(t), *states)
        w = descended(compiled.rule, w, u, RATE)
    return w


def exported(rules: RuleSet, w: Tensor, g: Tensor) -> Tensor:
    """Return the same by the exported optimizer."""
    p = torch.nn.Parameter(w.clone())
    group: dict[str, Any] = {"params": [p]}
    if rest_of(rules) != rules.matrix.renamed("rest"):
        group["use_matrix_rule"] = True
    make: Any = to_optimizer(rules, lr=RATE, rest_lr=RATE)
    optimizer = make([group])
    for x in g:
        p.grad = x + 0.1 * p.detach()
        optimizer.step()
    return p.detach()


def by_optax(rules: RuleSet, w: Tensor, g: Tensor) -> Tensor:
    """Return the same by the optax file, whose matrices are torch's transposed."""
    import jax
    import optax

    jax.config.update("jax_enable_x64", True)
    scope: dict[str, Any] = {"__name__": "exported"}
    exec(compile(export_optax(rules, lr=RATE, rest_lr=RATE), "<optax>", "exec"), scope)
    optimizer = scope[scope["__all__"][0]]()
    weights: Any = {"w": jax.numpy.asarray(w.numpy().T)}
    state = optimizer.init(weights)
    for x in g:
        grads = {"w": x.numpy().T + 0.1 * weights["w"]}
        updates, state = optimizer.update(grads, state, weights)
        weights = optax.apply_updates(weights, updates)
    return torch.from_numpy(np.array(weights["w"]).T.copy())


def apart(found: Tensor, expected: Tensor) -> float:
    """Return the relative difference; where one is not finite, whether the other is not either."""
    finite = expected.isfinite()
    if not torch.equal(finite, found.isfinite()):
        return float("inf")
    size = torch.where(finite, expected, 0.0).norm()
    difference = torch.where(finite, found - expected, 0.0).norm()
    return float(difference / size) if difference else 0.0


def examine(number: int) -> dict[str, Any]:
    """Return what was found of one program; empty lists and small numbers are good."""
    rules = draw(number)
    text = str(rules)
    row: dict[str, Any] = {"program": number, "statements": rules.size, "faults": []}
    faults: list[str] = row["faults"]
    if parse_rules(text) != rules or str(parse_rules(text)) != text:
        faults.append("parse")
    if read_written(text) != rules:
        faults.append("read")
    rule = rules.matrix
    w, g = noise()
    start = interpreted(rule, w, g)
    nudged = interpreted(rule, w * (1 + 4e-16 * torch.sign(g[0])), g)
    row["chaotic"] = bool(apart(nudged, start) > 4e-16 * CHAOTIC)
    row["finite"] = bool(start.isfinite().all())
    ways = {"generated": lambda: generated(rule, w, g), "exported": lambda: exported(rules, w, g)}
    if number % OPTAX_EVERY == 0:
        ways["optax"] = lambda: by_optax(rules, w, g)
    for name, way in ways.items():
        row[name] = apart(way(), start)
        if not row["chaotic"] and row["finite"] and not row[name] <= 1e-6:
            faults.append(name)
    simple, steps, _ = simplify_rule(rule)
    factor = float(np.prod([s.factor for s in steps if s.accepted]))
    row["simplified"] = len(simple.body)
    row |= simplification(rule, simple, factor)
    if row["float64"] > 1e-6 and not row["chaotic"] and row["finite"]:
        faults.append("simplified in float64")
    if row["float32_ratio"] > 4.0 and not row["chaotic"] and row["finite"]:
        faults.append("simplified in float32")
    return row


def simplification(rule: Rule, simple: Rule, factor: float) -> dict[str, float]:
    """Return how far the simplified program is from the raw one."""
    w, g = noise()
    exact, other = along(rule, w, g), factor * along(simple, w, g)
    w32, g32 = noise(torch.float32)
    raw32, other32 = along(rule, w32, g32).double(), factor * along(simple, w32, g32).double()
    size = exact.norm()
    raw_error, error = (float((x - exact).norm() / size) for x in (raw32, other32))
    return {
        "float64": apart(other, exact),
        "float32_raw": raw_error,
        "float32_simplified": error,
        "float32_ratio": error / max(raw_error, 1e-6) if np.isfinite(raw_error) else 0.0,
    }


def along(rule: Rule, w: Tensor, g: Tensor) -> Tensor:
    """Return the updates at weights that do not move."""
    states, updates = initial_states(rule, w), []
    for t, x in enumerate(g, start=1):
        u, states = run(rule, w, x, float(t), states)
        updates.append(u.expand_as(w))
    return torch.stack(updates)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the counts."""
    faults = Counter(fault for row in rows for fault in row["faults"])
    steady = [row for row in rows if row["finite"] and not row["chaotic"]]
    return {
        "programs": len(rows),
        "compared": len(steady),
        "chaotic": sum(row["chaotic"] for row in rows),
        "not_finite": sum(not row["finite"] for row in rows),
        "in_jax": sum("optax" in row for row in steady),
        "faults": dict(faults),
        "largest_difference": {
            way: max((row[way] for row in steady if way in row), default=0.0)
            for way in ("generated", "exported", "optax", "float64")
        },
        "statements": [sum(row[key] for row in rows) for key in ("statements", "simplified")],
    }


def main() -> None:
    """Go through the programs that are not in the file yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=10_000)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("benchmarks/results/random_programs.jsonl")
    )
    options = parser.parse_args()
    done = options.output.read_text().splitlines() if options.output.exists() else []
    rows = [json.loads(line) for line in done]
    warnings.simplefilter("ignore")
    with options.output.open("a", encoding="utf-8") as file:
        for number in range(len(rows), options.programs):
            try:
                row = examine(number)
            except Exception:
                row = {"program": number, "statements": 0, "simplified": 0, "finite": False}
                row |= {
                    "chaotic": False,
                    "faults": ["crash"],
                    "text": traceback.format_exc()[-2000:],
                }
            rows.append(row)
            file.write(json.dumps(row) + "\n")
            file.flush()
    print(json.dumps(summary(rows), indent=2))


if __name__ == "__main__":
    main()
