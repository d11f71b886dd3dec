"""Who stands how after commits, and who is evaluated again."""

from __future__ import annotations

from collections import Counter

import pytest
from fake_evaluation import config_of, drive, next_pack, noise, quality, scored, told

from evosearch.evolution.population import Population
from evosearch.training.job import Outcome, Status
from evosearch.training.score import BOUND


def test_elites_are_confirmed_on_fresh_rounds_and_never_twice_on_one() -> None:
    population = Population(config_of("elites.rounds=3"))
    packs = drive(population)
    evaluated = Counter((i.id, pack.round) for pack in packs for i in pack.individuals)
    assert set(evaluated.values()) == {1}
    assert max(pack.round for pack in packs) == 2
    for individual in population.ranking()[: population.config.elites.final]:
        assert [(individual.id, r) in evaluated for r in range(3)] == [True] * 3
    confirmations = [pack.number for pack in packs if pack.confirms]
    assert all((number + 1) % 3 == 0 for number in confirmations if number < 15)


def test_re_evaluations_come_in_packs_of_the_same_size_those_of_the_fewest_rounds_first() -> None:
    population = Population(config_of("elites.count=8", "elites.rounds=3", "elites.final=8"))
    packs = drive(population)
    sizes = [len(pack.individuals) for pack in packs if pack.confirms]
    assert max(sizes) == population.config.budget.pack
    assert sizes.count(max(sizes)) > len(sizes) / 2
    last = [pack.round for pack in packs[-4:]]
    assert last == sorted(last)


def test_a_standing_is_the_mean_of_all_rounds() -> None:
    population = Population(config_of("elites.rounds=3", tiers=1))
    drive(population)
    for individual in population.ranking()[:3]:
        text = population.cores[individual.id].text
        rounds = population.config.elites.rounds * population.config.evaluation.seeds
        scores = [quality(text) + noise(text, "digits_mlp", r) for r in range(rounds)]
        fitness = population.fitnesses[individual.id]
        assert fitness.score == pytest.approx(sum(scores) / rounds)
        assert fitness.rounds == 3
        assert fitness.error is not None


def test_a_lucky_score_does_not_survive() -> None:
    population = Population(config_of("elites.count=1", tiers=1))
    pack = next_pack(population)
    population.commit(pack, told(pack, 5.0, 0.0))
    assert population.ranking()[0].id == 0
    pack = next_pack(population)
    population.commit(pack, told(pack, 0.1))
    confirmation = next_pack(population)
    assert [i.id for i in confirmation.individuals] == [0]
    population.commit(confirmation, told(confirmation, -6.0))
    assert population.ranking()[-1].id == 0


def test_hurdles_let_a_share_pass() -> None:
    config = config_of(
        "hurdle.promote=0.25", "hurdle.warmup=12", "hurdle.initial=0.5", "elites.every=100", tiers=2
    )
    population = Population(config)
    assert population.hurdles() == (0.5, 0.5)
    for k in range(4):
        pack = next_pack(population)
        population.commit(pack, told(pack, 3.0 * k, 3.0 * k + 1, 3.0 * k + 2))
    first, second = population.hurdles()
    assert first == 8.0  # of 0, 1, ..., 11, three lie above
    assert second == 0.5


def test_going_further_beats_any_score_on_fewer_tasks() -> None:
    population = Population(config_of())
    pack = next_pack(population)
    short, long, worst = pack.individuals
    population.commit(pack, [scored(9.0), scored(-1.0, tasks=2), scored(1.0)])
    assert [i.id for i in population.ranking()] == [long.id, short.id, worst.id]


def test_failures_have_no_standing_and_end_nothing() -> None:
    def fails(text: str) -> bool:
        return quality(text) < 0.0

    population = Population(config_of("budget.evaluations=60"))
    drive(population, fails=fails)
    assert population.evaluations == 60
    assert len(population.fitnesses) < 45
    for individual in population.individuals:
        core = population.cores[individual.id]
        assert (individual.id in population.fitnesses) is not fails(core.text)
    assert all(not fails(population.cores[i.id].text) for i in population.ranking())


def test_where_everything_fails_the_search_goes_on_from_the_start() -> None:
    population = Population(config_of())
    packs = drive(population, fails=lambda _: True)
    assert population.evaluations == 40
    assert population.ranking() == population.front() == []
    assert not any(pack.confirms for pack in packs)
    assert all(i.parents == (0,) for i in population.individuals[1:])


@pytest.mark.parametrize("archive", [0.0, 0.5])
def test_an_elite_that_fails_a_later_round_is_gone(archive: float) -> None:
    """A worker's memory or deadline may end a re-evaluation; island and archive forget it too."""
    settings = ("population.front=0", f"population.archive={archive}", "budget.evaluations=60")
    population = Population(config_of(*settings, tiers=1))
    failed: set[int] = set()
    while (pack := population.propose()) is not None:
        if pack.confirms:
            failed |= {i.id for i in pack.individuals}
            lost = Outcome(Status.TIMEOUT, "no result", 0, -BOUND, None, ())
            population.commit(pack, [lost] * len(pack.individuals))
        else:
            assert not failed & {parent for i in pack.individuals for parent in i.parents if parent}
            population.commit(pack, [scored(quality(str(i.genome))) for i in pack.individuals])
    assert failed
    assert not failed & population.fitnesses.keys()
    assert population.evaluations == 60


def test_the_front_holds_the_best_of_each_size_and_memory() -> None:
    population = Population(config_of("budget.evaluations=80", tiers=1))
    drive(population)
    cores = population.cores
    front = population.front()
    assert front[0] == population.ranking()[0]
    for individual in population.ranking():
        better = [
            other
            for other in population.ranking()
            if cores[other.id].size <= cores[individual.id].size
            and cores[other.id].memory <= cores[individual.id].memory
            and (population.fitnesses[other.id], -other.id)
            > (population.fitnesses[individual.id], -individual.id)
        ]
        assert (individual in front) is not bool(better)
