"""The archive: the best of every niche, so that what is cheap is bred from as well as what is best.

A niche is a cost and a state memory: the octave of an update's floating-point operations an entry,
and the parameter-sized states. Keeping the best of every niche, and breeding from niches that are
drawn alike, is MAP-Elites (Mouret and Clune, arXiv 1504.04909).
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort

from evosearch.equivalence.core import Core
from evosearch.evolution.fitness import Fitness
from evosearch.evolution.ranking import Rank

__all__ = ["Archive", "Niche", "niche"]

Niche = tuple[int, int]
"""Octave of the cost, and state memory."""


def niche(core: Core) -> Niche:
    """Return where a program belongs."""
    return math.floor(math.log2(max(1.0, core.cost))), core.memory


class Archive:
    """Ids by niche and fitness."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Rank, Niche]] = {}
        self._niches: dict[Niche, list[Rank]] = {}

    def put(self, id_: int, fitness: Fitness, core: Core) -> None:
        """Give an id its fitness, whether or not it had one."""
        self.drop(id_)
        rank, place = (fitness.tier, fitness.score, -id_), niche(core)
        self._known[id_] = rank, place
        insort(self._niches.setdefault(place, []), rank)

    def drop(self, id_: int) -> None:
        """Forget an id; nothing happens to one that is not there."""
        if id_ in self._known:
            rank, place = self._known.pop(id_)
            ranks = self._niches[place]
            del ranks[bisect_left(ranks, rank)]
            if not ranks:
                del self._niches[place]

    def elites(self) -> list[int]:
        """Return the best of each niche, cheap niches first."""
        return [-self._niches[place][-1][2] for place in sorted(self._niches)]
