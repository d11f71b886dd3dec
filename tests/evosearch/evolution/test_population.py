from __future__ import annotations

from collections import Counter

import pytest
from fake_evaluation import config_of, drive, next_pack, quality, told

from evosearch.equivalence.core import form
from evosearch.equivalence.fingerprint import fingerprint
from evosearch.equivalence.shrink import shrink
from evosearch.evolution.population import Population
from evosearch.language.check import check_rules
from evosearch.language.known import default_rest, known


def test_the_start_is_the_first_individual() -> None:
    population = Population(config_of("start=lion"))
    pack = next_pack(population)
    assert (pack.number, pack.round, len(pack.individuals)) == (0, 0, 3)
    first = pack.individuals[0]
    assert (first.id, first.genome, first.parents) == (0, known("lion"), ())
    assert all(individual.parents == (0,) for individual in pack.individuals[1:])


def test_a_search_is_a_function_of_its_configuration() -> None:
    first, second = (Population(config_of()) for _ in range(2))
    assert drive(first) == drive(second)
    assert first.fitnesses == second.fitnesses
    other = Population(config_of(seed=1))
    assert [p.individuals for p in drive(other)] != [p.individuals for p in drive(first)]


def test_every_individual_is_legal_new_and_evaluated_once() -> None:
    population = Population(config_of("budget.evaluations=60"))
    packs = drive(population)
    assert population.evaluations == 60
    individuals = [i for pack in packs if not pack.confirms for i in pack.individuals]
    assert individuals == list(population.individuals)
    assert [individual.id for individual in individuals] == list(range(60))
    assert len({individual.fingerprint for individual in individuals}) == 60
    space = population.config.space.space()
    for individual in individuals:
        check_rules(individual.genome)
        assert space.contains(individual.genome)
        assert individual.fingerprint == fingerprint(individual.genome)
        assert population.cores[individual.id].rules == shrink(individual.genome)
        assert all(parent < individual.id for parent in individual.parents)
    assert population.proposals == sum(pack.proposals for pack in packs)
    assert population.hits == sum(pack.hits for pack in packs) <= population.proposals
    assert [pack.number for pack in packs] == list(range(len(packs)))


def test_proposals_depend_on_commits_alone() -> None:
    """What is in flight may finish whenever it likes: a commit is the only way in."""
    config = config_of("budget.window=3", "elites.every=50")
    early, late = Population(config), Population(config)
    flying = [next_pack(early) for _ in range(3)]
    assert flying == [next_pack(late) for _ in range(3)]
    early.commit(flying[0], told(flying[0], 1.0))
    late.commit(flying[0], told(flying[0], 1.0))
    assert early.propose() == late.propose()
    early.commit(flying[1], told(flying[1], 2.0))
    late.commit(flying[1], told(flying[1], -2.0))
    assert [early.propose() for _ in range(3)] != [late.propose() for _ in range(3)]


def test_parents_are_the_better_ones() -> None:
    population = Population(config_of("budget.evaluations=200", tiers=1))
    drive(population)
    bred = [i for i in population.individuals if i.parents and i.parents != (0,)]
    mean = sum(quality(core.text) for core in population.cores) / 200
    parents = [quality(population.cores[p].text) for i in bred for p in i.parents]
    assert len(parents) > 100
    assert sum(parents) / len(parents) > mean + 0.3


def test_of_equals_the_first_breeds() -> None:
    settings = ("population.front=0", "population.tuning=0", "population.crossover=0")
    tournament = ("population.warmup=1", "population.tournament=60", "elites.every=100")
    population = Population(config_of(*settings, *tournament, tiers=1))
    pack = next_pack(population)
    population.commit(pack, told(pack, 0.0, 1.0, 1.0))
    for _ in range(3):
        pack = next_pack(population)
        assert {individual.parents for individual in pack.individuals} == {(1,)}
        population.commit(pack, told(pack, 1.0))


def test_the_oldest_leave_an_island() -> None:
    config = config_of(
        "budget.evaluations=60",
        "population.front=0",
        "population.tuning=0",
        "population.size=5",
        "population.patience=1000",
        tiers=1,
    )
    population = Population(config)
    packs = [p for p in drive(population) if not p.confirms]
    for pack in packs[4:]:
        living = range(pack.individuals[0].id - 5, pack.individuals[0].id)
        for individual in pack.individuals:
            assert all(parent in living for parent in individual.parents)


def test_tuned_children_are_their_parents_with_other_constants() -> None:
    population = Population(config_of("population.tuning=0.5", "budget.evaluations=80", tiers=1))
    drive(population)
    tuned = [i for i in population.individuals if i.mutation == "retune"]
    assert 10 < len(tuned) < 60
    for individual in tuned:
        (parent,) = (population.individuals[id_] for id_ in individual.parents)
        core = population.cores[parent.id].rules
        assert form(individual.genome) == form(core)
        assert individual.genome != core


def test_until_an_island_has_filled_up_all_descend_from_the_start() -> None:
    population = Population(config_of("population.warmup=8", tiers=1))
    drive(population)
    parents = [individual.parents for individual in population.individuals]
    assert all(p == (0,) for p in parents[1:9])
    assert any(p != (0,) for p in parents[9:])


def test_an_island_that_stands_still_restarts_from_its_best() -> None:
    config = config_of(
        "budget.evaluations=60",
        "population.patience=6",
        "population.front=0",
        "population.tuning=0",
        "population.warmup=1",
        "population.size=20",
        "elites.every=100",
        tiers=1,
    )
    population = Population(config)
    pack = next_pack(population)
    population.commit(pack, told(pack, 1.0, 0.0))
    for _ in range(2):  # the two others of the first pack and six more: older than patience
        pack = next_pack(population)
        population.commit(pack, told(pack, 0.0))
    pack = next_pack(population)
    assert {individual.parents for individual in pack.individuals} == {(0,)}


def test_islands_take_turns_and_migrate() -> None:
    config = config_of(
        "population.islands=3",
        "budget.evaluations=120",
        "population.front=0",
        "population.migrate_every=4",
        "elites.every=1000",
        tiers=1,
    )
    population = Population(config)
    packs = [p for p in drive(population) if not p.confirms]
    home = {i.id: pack.number % 3 for pack in packs for i in pack.individuals}
    crossings = Counter(
        (home[parent], home[i.id])
        for i in population.individuals
        for parent in i.parents
        if parent != 0
    )
    assert all(crossings[k, k] > 5 for k in range(3))
    foreign = {pair for pair in crossings if pair[0] != pair[1]}
    assert foreign
    assert foreign <= {(0, 1), (1, 2), (2, 0)} | {(0, 2), (1, 0), (2, 1)}


@pytest.mark.parametrize(
    ("islands", "expected"), [(1, [[0, 1, 2]]), (2, [[0, 1, 2], [1]]), (3, [[0, 1, 2], [1], []])]
)
def test_the_best_goes_to_the_next_island_if_there_is_another(
    islands: int, expected: list[list[int]]
) -> None:
    population = Population(config_of(f"population.islands={islands}", tiers=1))
    pack = next_pack(population)
    population.commit(pack, told(pack, 0.0, 1.0, 0.5))
    assert [list(island.members) for island in population._islands] == expected


def test_crossover_takes_the_rest_from_the_second_parent() -> None:
    config = config_of("population.crossover=1", "population.front=0", "budget.evaluations=80")
    population = Population(config)
    drive(population)
    crossed = [i for i in population.individuals if i.mutation.startswith("crossover, ")]
    assert len(crossed) > 10
    assert all(len(i.parents) == 2 for i in crossed)
    single = Population(config_of("population.crossover=1", "space.scope=single"))
    drive(single)
    assert not any(i.mutation.startswith("crossover") for i in single.individuals)


def test_a_budget_that_is_no_multiple_of_the_pack_is_kept() -> None:
    population = Population(config_of("budget.evaluations=7"))
    packs = drive(population)
    assert population.evaluations == 7
    assert [len(pack.individuals) for pack in packs if not pack.confirms] == [3, 3, 1]


def test_a_space_without_new_programs_ends_the_search(monkeypatch) -> None:
    monkeypatch.setattr("evosearch.evolution.offspring._GIVE_UP", 200)
    config = config_of(
        "start=signsgd",
        'space.ops=["sign", "neg"]',
        "space.scope=single",
        "space.max_statements=2",
        "space.max_states=0",
    )
    population = Population(config)
    drive(population)
    assert 2 <= population.evaluations < 40


@pytest.mark.parametrize("scope", ["both", "matrix", "single"])
def test_by_size_forms_come_shortest_first_and_tuning_goes_on(scope: str) -> None:
    settings = ("population.by_size=true", "population.tuning=0.3", f"space.scope={scope}")
    start = (
        str(default_rest()) if scope == "single" else f"{known('muon').matrix}\n\n{default_rest()}"
    )
    population = Population(config_of(*settings, f"start={start}"))
    drive(population)
    fresh = [i for i in population.individuals if not i.parents][1:]
    tuned = [i for i in population.individuals if i.mutation == "retune"]
    assert len(fresh) + len(tuned) + 1 == population.evaluations
    assert fresh
    assert tuned
    assert population.proposals >= len(fresh) + len(tuned)
    sizes = [len(individual.genome.matrix.body) for individual in fresh]
    assert sizes == sorted(sizes)
    if scope == "matrix":
        assert {individual.genome.rest for individual in fresh} == {default_rest()}
    assert len({individual.fingerprint for individual in population.individuals}) == len(
        population.individuals
    )
