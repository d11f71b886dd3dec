"""The page of all known optimizers, each trained beside its reference.

    python -m benchmarks.known_optimizers [-o docs/optimizers.md]

Takes two minutes. For each: program, recurrence, state and cost, the reference and the largest
difference of the weights over 100 steps in float64, relative to the way gone, on a tall, a wide and
a square matrix.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from evosearch.language.cost import update_cost
from evosearch.language.formula import pseudo_code
from evosearch.language.known import known
from evosearch.language.library import LIBRARY, KnownOptimizer

UNSAYABLE = """\
## What cannot be said, or not quite

| optimizer | why |
|---|---|
| Lookahead, Schedule-Free | A program does not know its learning rate. `lookahead` and \
`schedulefree_adamw` read it off their last two moves, which costs a buffer and is exact where the \
rate is constant or linear in the step; where it jumps, one synchronization is off by the jump. |
| Schedule-Free, averaged weights | No program hands out other weights for evaluation than it \
trains; `schedulefree_adamw` is evaluated at y. |
| Prodigy | Its distance is one number for the whole model; `prodigy` has one for each matrix. |
| Sophia | No Hessian probe; `sophia` takes the secant of the last two gradients. |
| Kron (PSGD) | No random probe; `kron` takes its expectation. |
| SCALE | Momentum for the head alone wants rules by role; `scale` is the rule of the matrices. |
| SOAP | Its authors sort the basis by eigenvalue, and there is no permutation; no difference but \
for the moment of the change. |
| Dion, GaLore | No state of shape (m, r). |
| MuonClip | It scales weights by attention logits, which no rule sees. |
| schedules to a horizon T (cooldowns, the decay of AddSign) | No program knows T. |
"""

ROOT = Path(__file__).parents[1]


def deviations(row: KnownOptimizer) -> dict[str, float]:
    """Return the largest difference from each reference."""
    sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "tests/evosearch/language")]
    from test_known import SHAPES, follow

    rule = known(row.name).matrix
    return {
        reference.path: max(max(follow(rule, reference, shape)) for shape in SHAPES.values())
        for reference in row.references
    }


def entry(row: KnownOptimizer) -> str:
    """Return an optimizer's part of the page."""
    rules = known(row.name)
    states = ", ".join(f"{state.name} {state.shape}" for state in rules.matrix.states) or "none"
    found = "; ".join(f"`{path}`: {x:.1e}" for path, x in deviations(row).items())
    return (
        f"## {row.title} (`{row.name}`)\n\n{rules.matrix.doc}\n\n"
        f"```python\n{rules}```\n\n```text\n{pseudo_code(rules)}```\n\n"
        f"State: {states}. Cost of an update: {update_cost(rules):.0f} operations an entry of a "
        f"64 x 64 matrix. Largest deviation: {found}.\n"
    )


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "optimizers.md")
    arguments = parser.parse_args()
    torch.Tensor.bfloat16 = torch.Tensor.clone  # Muon's references orthogonalize in it
    head = (
        "# Known optimizers\n\n"
        f"{len(LIBRARY)} programs of the library. This page is made by "
        "`python -m benchmarks.known_optimizers`.\n"
    )
    page = "\n".join([head, *map(entry, LIBRARY.values()), UNSAYABLE])
    arguments.output.write_text(page, encoding="utf-8")
    print(arguments.output)


if __name__ == "__main__":
    main()
