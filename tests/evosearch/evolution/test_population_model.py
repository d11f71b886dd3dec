"""Islands, migration, restarts, re-evaluation and tuning together, against what plain lists say."""

from __future__ import annotations

from dataclasses import dataclass, field

from fake_evaluation import config_of, outcomes_of_pack

from evosearch.evolution.fitness import Fitness
from evosearch.evolution.individual import Pack
from evosearch.evolution.population import Population
from evosearch.mutation.rng import Rng
from evosearch.training.job import Outcome, Status
from evosearch.training.score import BOUND

CONFIG = config_of(
    "budget.evaluations=400",
    "population.islands=3",
    "population.migrate_every=4",
    "population.patience=15",
    "population.size=9",
    "population.tuning=0.3",
    "elites.every=4",
    "elites.rounds=3",
)


@dataclass
class Isle:
    """An island by its history."""

    members: list[int] = field(default_factory=list)
    came: list[Fitness] = field(default_factory=list)
    """How those stood when they came who came since the last restart, its survivor first."""

    def add(self, id_: int, fitness: Fitness) -> None:
        self.members = [*self.members, id_][-CONFIG.population.size :]
        self.came.append(fitness)

    @property
    def stale(self) -> int:
        return len(self.came) - 1 - self.came.index(max(self.came)) if self.came else 0


class Isles:
    """All islands, told of every commit."""

    def __init__(self) -> None:
        self.isles = [Isle() for _ in range(3)]
        self.migrations: list[int] = []
        """Numbers of the packs after which there was one."""
        self.restarts = 0

    def commit(self, pack: Pack, fitnesses: dict[int, Fitness], failed: set[int]) -> None:
        for isle in self.isles:
            isle.members = [id_ for id_ in isle.members if id_ not in failed]
        if pack.confirms:
            return
        home, neighbour = self.isles[pack.number % 3], self.isles[(pack.number + 1) % 3]
        for individual in pack.individuals:
            if individual.id not in failed:
                home.add(individual.id, fitnesses[individual.id])
        if not home.members:
            return
        best = max(home.members, key=lambda id_: (fitnesses[id_], -id_))
        if pack.number // 3 % 4 == 0:  # the first, fifth, ninth turn of every island
            self.migrations.append(pack.number)
            neighbour.add(best, fitnesses[best])
        if home.stale > 15:
            self.restarts += 1
            home.members, home.came = [best], [fitnesses[best]]


def outcomes(population: Population, pack: Pack) -> list[Outcome]:
    """Return outcomes of which one in ten is a failure at first, and later three in ten."""
    found = outcomes_of_pack(population, pack)
    for k, individual in enumerate(pack.individuals):
        if Rng("loss", individual.id, pack.round).random() < (0.3 if pack.confirms else 0.1):
            found[k] = Outcome(Status.TIMEOUT, "", 0, -BOUND, None, (), found[k].core)
    return found


def test_islands_hold_whom_plain_lists_hold() -> None:
    population, model = Population(CONFIG), Isles()
    lost = 0
    while (pack := population.propose()) is not None:
        results = outcomes(population, pack)
        population.commit(pack, results)
        pairs = zip(pack.individuals, results, strict=True)
        failed = {individual.id for individual, result in pairs if result.status is not Status.OK}
        lost += pack.confirms and len(failed)
        model.commit(pack, population.fitnesses, failed)
        found = [(list(island.members), island.stale) for island in population._islands]
        assert found == [(isle.members, isle.stale) for isle in model.isles]
    assert model.restarts >= 5
    assert len(model.migrations) >= 20
    assert {number % 3 for number in model.migrations} == {0, 1, 2}
    assert lost >= 3


def test_who_is_tuned_is_the_best_of_its_form() -> None:
    """By its scores on the first tier, wherever it lives; it is so until another scores better."""
    population = Population(CONFIG)
    tuned = passed_on = 0
    best: dict[str, tuple[int, float]] = {}
    while (pack := population.propose()) is not None:
        if not pack.confirms:
            parents = [i.parents for i in pack.individuals if i.mutation == "retune"]
            assert all(best[population.cores[p].form][0] == p for (p,) in parents)
            tuned += len(parents)
        population.commit(pack, outcomes_of_pack(population, pack))
        for individual in pack.individuals:
            scores = population._results[individual.id].scores["digits_mlp"]
            score, form = sum(scores) / len(scores), population.cores[individual.id].form
            holder, record = best.setdefault(form, (individual.id, score))
            if individual.id == holder or score > record:
                best[form] = individual.id, score
                passed_on += individual.id != holder
    assert tuned > 60
    assert passed_on > 10
