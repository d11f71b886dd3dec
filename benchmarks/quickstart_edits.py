"""Which edits bring the quick start to its idea: first children of AdamW that orthogonalize.

    python -m benchmarks.quickstart_edits [--children 2000]

Muon's family is what beats tuned AdamW on the quick start's tasks, and what it has in common is an
update whose singular values lie close together. So counted are, of single edits of the quick
start's AdamW, unselected, those whose rule for matrices brings the singular values of a gradient of
condition number 10 within a factor of 2 (`evosearch.studies.rediscovery.ideas`). Arms: the edits
that are drawn by default, all edits without and with known optimizers as donors, the preset, the
preset without donors, and the preset with one edit less each. Nothing is trained.

The last line is one JSON object: counts by arm, with Wilson's intervals of 95 %.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import Any, Final

from evosearch.config.schema import preset
from evosearch.language.known import resolve
from evosearch.language.liveness import strip
from evosearch.language.rule import Rule, RuleSet
from evosearch.mutation.edits import EDITS
from evosearch.mutation.mutate import mutate
from evosearch.mutation.rng import Rng
from evosearch.mutation.space import LIBRARY, Space
from evosearch.studies.rediscovery.ideas import orthogonalization
from evosearch.studies.statistics import wilson

SPREAD: Final = 2.0
"""Largest over smallest singular value of an update that is called orthogonalized."""


def arms(own: Space) -> dict[str, Space]:
    """Return the spaces that are compared, by name."""
    plain = replace(own, edits=(), frequencies=(), donors=(), by_family=False)
    every = replace(plain, edits=tuple(EDITS), by_family=True)
    less = {
        f"the preset without {name}": replace(own, edits=tuple(e for e in own.edits if e != name))
        for name in own.edits
    }
    return {
        "default edits": plain,
        "all edits, no donors": every,
        "all edits, donors": replace(every, donors=(LIBRARY,)),
        "the preset": own,
        "the preset without donors": replace(own, donors=()),
        **less,
    }


def orthogonalizes(rule: Rule) -> bool:
    """Whether a rule brings the singular values of a gradient together.

    One that works entry by entry sees no singular values.
    """
    live = strip(rule)
    found = None if live.rank_free else orthogonalization(live)
    return found is not None and found.constants["spread"] <= SPREAD


def hits(start: RuleSet, space: Space, children: int) -> int:
    """Return how many of so many children of a program orthogonalize."""
    made = (mutate(start, space, Rng(0, "quickstart_edits", i))[0] for i in range(children))
    return sum(orthogonalizes(child.matrix) for child in made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--children", type=int, default=2000, help="Of each arm.")
    options = parser.parse_args()
    config = preset("quickstart")
    start, found = resolve(config.start), dict[str, Any]()
    for name, space in arms(config.space.space()).items():
        count = hits(start, space, options.children)
        low, high = wilson(count, options.children)
        found[name] = {"hits": count, "interval": [round(low, 5), round(high, 5)]}
        shares = f"{count / options.children:.2%} ({low:.2%} to {high:.2%})"
        print(f"{name}: {count} of {options.children}, {shares}", flush=True)
    print(json.dumps({"children": options.children, "arms": found}))


if __name__ == "__main__":
    main()
