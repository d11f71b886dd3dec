"""What random edits reach: which ideas occur among the new programs that they make, unselected.

    python -m benchmarks.reach [--proposals 50000] [--depth 3] [--starts adamw sgd muon]

From each start, so many proposals: walks of up to `depth` new programs, each a child of the one
before it, then from the start again. Counted are children that compute something finite which none
of that start's before them did, by the traits of their cores (`evosearch.recognize.traits`). Three
arms: the edits that are drawn by default; all edits, with every known optimizer as a donor; and all
edits, with donors withheld that precondition. The space has every op, 40 statements and 4 states.

Before the counts: how far known optimizers are from each other, in statements of their cores that
have to be inserted, deleted or exchanged; edits of arguments and constants would come on top.

One process, one thread, seconds of processor time, of proposing alone. The last line is one JSON
object: for each trait the smallest count of all starts, and proposals per second over all of them,
with all donors, under `withheld`, and of the default edits under `default`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from evosearch.equivalence.fingerprint import fingerprint
from evosearch.equivalence.shrink import shrink
from evosearch.evolution.garbage import collected_before
from evosearch.evolution.offspring import offspring
from evosearch.language.known import KNOWN, known
from evosearch.language.rule import RuleSet
from evosearch.mutation.edits import EDITS
from evosearch.mutation.rng import Rng
from evosearch.mutation.space import LIBRARY, Space
from evosearch.recognize.traits import PRECONDITIONED, Trait, traits
from primitives.table import OPS

STARTS: Final = ("adamw", "sgd", "muon")
SPACE: Final = Space(ops=tuple(OPS), max_statements=40, max_states=4)
DEFAULT, ALL, WITHHELD = "default", "donors", "withheld"


def arms() -> dict[str, Space]:
    """Return the spaces that are compared."""
    withheld = [name for name in KNOWN if not traits(known(name).matrix) & PRECONDITIONED]
    every = replace(SPACE, edits=tuple(EDITS), by_family=True)
    return {
        DEFAULT: SPACE,
        ALL: replace(every, donors=(LIBRARY,)),
        WITHHELD: replace(every, donors=tuple(withheld)),
    }


_TOGETHER: Final = 1000
"""New programs that are looked at together, so that the clock is seldom asked."""


@dataclass
class Reach:
    """What the proposals from one start came to."""

    proposals: int = 0
    hits: int = 0
    children: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """Return the counts by trait, and what they are counts of."""
        return {
            **{str(trait): self.counts[trait] for trait in Trait},
            "children": self.children,
            "proposals": self.proposals,
            "hits": self.hits,
            "per_second": round(self.proposals / self.seconds),
        }


def reach(start: str, space: Space, proposals: int, depth: int, seed: int = 0) -> Reach:
    """Return what so many proposals from a start reach."""
    rng, begin = Rng("reach", start, seed), known(start)
    seen, found = {fingerprint(begin)}, Reach()
    while found.proposals < proposals:
        children = propose(begin, space, rng, seen, found, depth=depth, proposals=proposals)
        for child in children:
            if traits(child.matrix):  # what is left of it has no others
                found.counts.update(map(str, traits(shrink(child).matrix)))
    return found


@collected_before()
def propose(
    begin: RuleSet,
    space: Space,
    rng: Rng,
    seen: set[str | None],
    found: Reach,
    *,
    depth: int,
    proposals: int,
) -> list[RuleSet]:
    """Return the new programs of the next walks; what they cost is added to `found`."""
    children: list[RuleSet] = []
    since = time.process_time()
    while found.proposals < proposals and len(children) < _TOGETHER:
        parent = begin
        for _ in range(1 + rng.below(depth)):
            child = offspring(parent, space, rng, seen, drift=0.5)
            if child is None:
                break
            seen.add(child.fingerprint)
            found.proposals += child.proposals
            found.hits += child.hits
            children.append(parent := child.rules)
    found.seconds += time.process_time() - since
    found.children += len(children)
    return children


def distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Return the insertions, deletions and exchanges from one sequence to another."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            best = min(diagonal + (x != y), row[j] + 1, row[j - 1] + 1)
            diagonal, row[j] = row[j], best
    return row[-1]


def distances() -> list[str]:
    """Return the lines of a table: each known optimizer, and the nearest that is simpler."""
    ops = {name: [s.op for s in shrink(known(name)).matrix.body] for name in KNOWN}
    lines = []
    for k, name in enumerate(KNOWN):
        near = {other: distance(ops[other], ops[name]) for other in KNOWN[:k]}
        nearest = min(near, key=lambda other: near[other], default="")
        of = f"{near[nearest]:2d} from {nearest}" if nearest else ""
        starts = ", ".join(f"{distance(ops[s], ops[name]):2d} from {s}" for s in STARTS)
        lines.append(f"  {name:20s} {starts}; nearest: {of}")
    return lines


def total(found: Sequence[Reach]) -> dict[str, Any]:
    """Return the smallest counts of all starts, and the proposals per second over all of them."""
    seconds = sum(reach.seconds for reach in found)
    smallest = {str(trait): min(reach.counts[trait] for reach in found) for trait in Trait}
    return smallest | {"per_second": round(sum(r.proposals for r in found) / seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(description="What random edits reach.")
    parser.add_argument("--proposals", type=int, default=50_000, help="from each start")
    parser.add_argument("--depth", type=int, default=3, help="the most steps of a walk")
    parser.add_argument("--starts", nargs="+", default=list(STARTS), choices=KNOWN)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--arms", nargs="+", default=list(arms()), choices=list(arms()))
    options = parser.parse_args()

    print("Statements from one known optimizer to another:", *distances(), sep="\n")
    totals: dict[str, Any] = {}
    for arm in options.arms:
        found = []
        for start in options.starts:
            found.append(reach(start, arms()[arm], options.proposals, options.depth, options.seed))
            print(f"{arm}, from {start}: {json.dumps(found[-1].to_json())}", flush=True)
        totals[arm] = total(found)
    print(json.dumps(totals.pop(ALL, {}) | totals))


if __name__ == "__main__":
    main()
