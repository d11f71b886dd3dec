from __future__ import annotations

import random

from fake_evaluation import config_of, perform

from evosearch.equivalence.core import Core
from evosearch.evolution.archive import Archive, niche
from evosearch.evolution.fitness import Fitness
from evosearch.evolution.loop import search
from evosearch.evolution.population import Population
from evosearch.language.known import known
from evosearch.workers.executor import LocalExecutor

CORES = [Core.known(known(name)) for name in ("sgd", "momentum", "signum", "adam", "muon", "lion")]


def fitness(score: float, tier: int = 0) -> Fitness:
    return Fitness(tier, score, None, 1)


def test_a_niche_is_an_octave_of_cost_and_a_memory() -> None:
    sgd, momentum, _, adam, muon, _ = CORES
    assert niche(momentum)[1] == 1
    assert niche(adam)[1] == 2
    assert niche(muon)[0] - niche(momentum)[0] > 5
    assert niche(sgd) < niche(momentum) < niche(adam)


def test_the_best_of_each_niche_stays() -> None:
    archive = Archive()
    momentum, adam = CORES[1], CORES[3]
    archive.put(0, fitness(0.1), momentum)
    archive.put(1, fitness(0.3), momentum)
    archive.put(2, fitness(-1.0), adam)
    assert archive.elites() == [1, 2]  # the worse one stays, for its niche
    archive.put(3, fitness(-2.0, tier=1), momentum)  # further is better than any score
    assert archive.elites() == [3, 2]
    archive.put(4, fitness(0.3), momentum)
    archive.drop(3)
    assert archive.elites() == [1, 2]  # of equals the first
    archive.drop(2)
    archive.drop(2)
    assert archive.elites() == [1]


def test_it_is_what_sorting_would_give() -> None:
    draw, archive = random.Random(0), Archive()
    scores: dict[int, tuple[float, Core]] = {}
    for _ in range(400):
        id_ = draw.randrange(60)
        if draw.random() < 0.2:
            archive.drop(id_)
            scores.pop(id_, None)
        else:
            scores[id_] = draw.choice([0.0, 0.5, draw.random()]), draw.choice(CORES)
            archive.put(id_, fitness(scores[id_][0]), scores[id_][1])
        best: dict[tuple[int, int], int] = {}
        for i in sorted(scores, key=lambda i: (-scores[i][0], i)):
            best.setdefault(niche(scores[i][1]), i)
        assert archive.elites() == [best[place] for place in sorted(best)]


def test_parents_are_drawn_from_all_niches() -> None:
    config = config_of("population.archive=1", "population.tuning=0", "budget.evaluations=90")
    elites: list[set[int]] = [set()]
    families: list[tuple[int, ...]] = []

    def observe(progress) -> None:
        population: Population = progress.population
        elites.append(set(population._archive.elites()))
        families.extend(i.parents for i in progress.pack.individuals if not progress.pack.confirms)

    population = search(config, LocalExecutor(perform), lambda _: None, (), observe)
    niches = {niche(population.cores[i]) for (i,) in families[12:]}
    assert len(niches) >= 4
    seen = set().union(*elites) | {0}
    assert {parent for parents in families for parent in parents} <= seen
