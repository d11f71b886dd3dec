from __future__ import annotations

from evosearch.evolution.fitness import Fitness
from evosearch.evolution.island import Island


def fitnesses(*scores: float) -> dict[int, Fitness]:
    """Return fitnesses by id."""
    return {id_: Fitness(0, score, None, 1) for id_, score in enumerate(scores)}


def filled(scores: dict[int, Fitness], limit: int = 100) -> Island:
    island = Island()
    for id_ in scores:
        island.add(id_, scores, limit)
    return island


def test_the_oldest_leaves_when_there_are_too_many() -> None:
    known = fitnesses(5.0, 1.0, 2.0, 3.0)
    assert list(filled(known, 4).members) == [0, 1, 2, 3]
    assert list(filled(known, 3).members) == [1, 2, 3]


def test_a_record_begins_the_count_of_those_without_one_again() -> None:
    known = fitnesses(1.0, 0.5, 0.9, 2.0, 2.0, -1.0, 1.5)
    island, counts = Island(), []
    for id_ in known:
        island.add(id_, known, 2)
        counts.append(island.stale)
    assert counts == [0, 1, 2, 0, 1, 2, 3]  # an equal is no record
    assert island.record == known[3]  # which has left, as records do


def test_the_best_is_the_first_of_equals() -> None:
    known = fitnesses(0.5, 2.0, 1.0, 2.0)
    assert filled(known).best(known) == 1


def test_a_failed_member_is_gone_wherever_it_stands() -> None:
    known = fitnesses(1.0, 2.0, 3.0)
    island = filled(known)
    island.add(1, known, 100)  # it may have come back from a neighbour
    island.discard(1)
    assert list(island.members) == [0, 2]
    island.discard(7)
    assert list(island.members) == [0, 2]


def test_a_restart_keeps_the_best_member_and_counts_from_it() -> None:
    known = fitnesses(9.0, 1.0, 3.0, 2.0, 2.5)
    island = filled(known, 3)
    assert (island.record, island.stale) == (known[0], 4)
    island.restart(known)
    assert list(island.members) == [2]
    assert (island.record, island.stale) == (known[2], 0)  # a record that has left is forgotten
    known |= {5: Fitness(0, 2.9, None, 1), 6: Fitness(0, 3.1, None, 1)}
    for id_, count in ((5, 1), (6, 0)):
        island.add(id_, known, 3)
        assert island.stale == count
