from __future__ import annotations

import random

from evosearch.evolution.fitness import Fitness
from evosearch.evolution.ranking import Ranking


def test_a_ranking_is_the_sorted_list_after_any_changes() -> None:
    draw, ranking = random.Random(0), Ranking()
    known: dict[int, tuple[Fitness, int, int]] = {}
    for _ in range(400):
        id_ = draw.randrange(60)
        if draw.random() < 0.2:
            known.pop(id_, None)
            ranking.drop(id_)
        else:
            fitness = Fitness(draw.randrange(3), draw.choice([-1.0, 0.0, 0.5, 2.0]), None, 1)
            known[id_] = fitness, draw.randrange(5), draw.randrange(3)
            ranking.put(id_, *known[id_])
        order = sorted(known, key=lambda i: (known[i][0], -i), reverse=True)
        assert list(ranking) == order
        assert ranking.best(3) == order[:3]
        front: list[int] = []
        for i in order:
            _, size, memory = known[i]
            if not any(known[j][1] <= size and known[j][2] <= memory for j in front):
                front.append(i)
        assert ranking.front() == front


def test_nobody_is_ranked_at_first() -> None:
    ranking = Ranking()
    assert list(ranking) == ranking.best(5) == ranking.front() == []
    ranking.drop(3)


def test_the_ladder_is_the_front_when_memory_is_free() -> None:
    ranking = Ranking()
    for id_, (score, size, memory) in enumerate(
        [(1.0, 5, 2), (0.5, 3, 1), (0.4, 3, 0), (0.2, 4, 0), (0.1, 1, 2), (0.0, 1, 0)]
    ):
        ranking.put(id_, Fitness(0, score, None, 1), size, memory)
    assert ranking.ladder() == [0, 1, 4]
    assert ranking.front() == [0, 1, 2, 4, 5]
