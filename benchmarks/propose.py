"""Proposals per second on one core: from a mutation to a new, checked, fingerprinted child.

    python -m benchmarks.propose [--children 2000] [--repetitions 5] [--evolve 1500]

Three figures. From AdamW: children of one parent, each computing what none before it did. Along an
evolving population: the same inside a search, where parents grow, most functions near them are
known, and every individual's core is worked out as well; scores are made up and cost nothing.
Memory: what the search holds on to for each proposal and each individual. One process, one thread,
seconds of processor time. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence

from evosearch.config.schema import Config, preset
from evosearch.equivalence.fingerprint import fingerprint
from evosearch.evolution.garbage import collected_before
from evosearch.evolution.individual import Pack
from evosearch.evolution.offspring import offspring
from evosearch.evolution.population import Population
from evosearch.language.known import known
from evosearch.mutation.rng import Rng
from evosearch.mutation.space import Space
from evosearch.training.job import Outcome, Status, TaskResult

Rate = tuple[float, int, int]
"""Children per second, proposals and cache hits."""


@collected_before()
def from_adamw(children: int, seed: int) -> Rate:
    parent, space, rng = known("adamw"), Space(), Rng("benchmark", seed)
    seen = {fingerprint(parent)}
    proposals = hits = 0
    start = time.process_time()
    for _ in range(children):
        child = offspring(parent, space, rng, seen, drift=0.5)
        assert child is not None, "AdamW has more children than that"
        seen.add(child.fingerprint)
        proposals += child.proposals
        hits += child.hits
    return children / (time.process_time() - start), proposals, hits


def outcomes(pack: Pack, tasks: Sequence[str]) -> list[Outcome]:
    """Return made-up outcomes: a score that depends on the individual alone, on every tier."""
    made = []
    for individual in pack.individuals:
        score = Rng("score", individual.fingerprint).normal()
        results = tuple(TaskResult(task, pack.round, 0, score, 0, False, ()) for task in tasks)
        made.append(Outcome(Status.OK, "", len(tasks) - 1, score, None, results))
    return made


@collected_before()
def evolve(
    config: Config, observe: Callable[[Population], None] = lambda _: None
) -> tuple[Population, float]:
    """Return the population after a whole search, and the seconds that it took to propose."""
    population, seconds = Population(config), 0.0
    tasks = [str(task) for tier in config.tiers_of_tasks() for task in tier]
    while True:
        start = time.process_time()
        pack = population.propose()
        seconds += time.process_time() - start
        if pack is None:
            return population, seconds
        population.commit(pack, outcomes(pack, tasks))
        observe(population)


def searching(individuals: int, seed: int) -> Rate:
    population, seconds = evolve(configuration(individuals, seed))
    return population.evaluations / seconds, population.proposals, population.hits


def memory(individuals: int) -> tuple[float, float]:
    """Return the bytes that a search keeps for each proposal and each individual of its last third.

    By then the caches, which are bounded, have filled up.
    """
    tracemalloc.start()
    marks: list[tuple[int, int]] = []

    def mark(population: Population) -> None:
        if not marks and population.evaluations > individuals * 2 // 3:
            marks.append((population.evaluations, tracemalloc.get_traced_memory()[0]))

    population, _ = evolve(configuration(individuals, 0), mark)
    kept = tracemalloc.get_traced_memory()[0] - marks[0][1]
    tracemalloc.stop()
    per_individual = kept / (population.evaluations - marks[0][0])
    return per_individual * population.evaluations / population.proposals, per_individual


def configuration(individuals: int, seed: int) -> Config:
    return preset("quickstart", [f"seed={seed}", f"budget.evaluations={individuals}"])


def report(label: str, rates: Sequence[Rate]) -> tuple[float, float]:
    """Print and return the median rate and the share of proposals that were known."""
    speeds = [speed for speed, _, _ in rates]
    proposals, hits = (sum(rate[k] for rate in rates) for k in (1, 2))
    print(
        f"{label}: {statistics.median(speeds):.0f} new children per second "
        f"({min(speeds):.0f} to {max(speeds):.0f}, n = {len(speeds)}), "
        f"{proposals} proposals, {hits / proposals:.1%} of them known"
    )
    return statistics.median(speeds), hits / proposals


def main() -> None:
    parser = argparse.ArgumentParser(description="Proposals per second on one core.")
    parser.add_argument("--children", type=int, default=2000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--evolve", type=int, default=1500, help="individuals of a search")
    options = parser.parse_args()

    from_adamw(300, -1)  # caches and lazy imports
    adamw = report(
        "from AdamW", [from_adamw(options.children, seed) for seed in range(options.repetitions)]
    )
    evolving = report(
        "in a search", [searching(options.evolve, seed) for seed in range(options.repetitions)]
    )
    per_proposal, per_individual = memory(4 * options.evolve)
    print(f"memory: {per_proposal:.0f} bytes a proposal, {per_individual:.0f} an individual")
    print(
        json.dumps(
            {
                "per_second": round(adamw[0]),
                "cache_hit_rate": round(adamw[1], 4),
                "in_search_per_second": round(evolving[0]),
                "in_search_cache_hit_rate": round(evolving[1], 4),
                "bytes_per_proposal": round(per_proposal),
                "bytes_per_individual": round(per_individual),
                "n": options.repetitions,
            }
        )
    )


if __name__ == "__main__":
    main()
