"""Ranking: who is best, and who is best for its size, kept in order as fitnesses change."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from itertools import islice

from evosearch.evolution.fitness import Fitness

__all__ = ["Rank", "Ranking"]

Rank = tuple[int, float, int]
"""Tier, score and the negative id: greater is better, and of equals the first counts."""
Cell = tuple[int, int]
"""Size and state memory."""


class Ranking:
    """Ids by fitness. A change costs a search, not a sort."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Rank, Cell]] = {}
        self._order: list[Rank] = []
        self._cells: dict[Cell, list[Rank]] = {}
        self._same: dict[Cell, Cell] = {}
        """Each cell once: there are few, and many ids in each."""

    def put(self, id_: int, fitness: Fitness, size: int, memory: int) -> None:
        """Give an id its fitness, whether or not it had one."""
        self.drop(id_)
        place, cell = (fitness.tier, fitness.score, -id_), (size, memory)
        cell = self._same.setdefault(cell, cell)
        self._known[id_] = place, cell
        insort(self._order, place)
        insort(self._cells.setdefault(cell, []), place)

    def drop(self, id_: int) -> None:
        """Forget an id; nothing happens to one that is not ranked."""
        if id_ in self._known:
            place, cell = self._known.pop(id_)
            for places in (self._order, self._cells[cell]):
                del places[bisect_left(places, place)]
            if not self._cells[cell]:
                del self._cells[cell]

    def __iter__(self) -> Iterator[int]:
        return (-place[2] for place in reversed(self._order))

    def best(self, count: int) -> list[int]:
        """Return the first ids, best first."""
        return list(islice(self, count))

    def front(self) -> list[int]:
        """Return the ids that none of their size and memory, or less, beats; best first."""
        front: list[int] = []
        cells: list[Cell] = []
        for place, (size, memory) in self._tops():
            if not any(s <= size and m <= memory for s, m in cells):
                front.append(-place[2])
                cells.append((size, memory))
        return front

    def ladder(self) -> list[int]:
        """Return the ids that none of their size or less beats, whatever its memory; best first."""
        ladder: list[int] = []
        smallest = None
        for place, (size, _) in self._tops():
            if smallest is None or size < smallest:
                ladder.append(-place[2])
                smallest = size
        return ladder

    def _tops(self) -> list[tuple[Rank, Cell]]:
        """Return the best of every cell, best first."""
        return sorted(((places[-1], cell) for cell, places in self._cells.items()), reverse=True)
