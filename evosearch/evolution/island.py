"""Islands: populations that breed among themselves and forget their oldest."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from evosearch.evolution.fitness import Fitness

__all__ = ["Island"]


@dataclass
class Island:
    """A queue of individuals that breed among themselves, by id."""

    members: deque[int] = field(default_factory=deque)
    record: Fitness | None = None
    """The best fitness since the last restart."""
    stale: int = 0
    """Individuals added since the record."""

    def add(self, id_: int, fitnesses: Mapping[int, Fitness], limit: int) -> None:
        """Take in the newest member; beyond the limit the oldest leaves."""
        self.members.append(id_)
        while len(self.members) > limit:
            self.members.popleft()
        fitness = fitnesses[id_]
        if self.record is None or fitness > self.record:
            self.record, self.stale = fitness, 0
        else:
            self.stale += 1

    def discard(self, id_: int) -> None:
        """Remove a member that failed."""
        self.members = deque(member for member in self.members if member != id_)

    def best(self, fitnesses: Mapping[int, Fitness]) -> int:
        """Return the fittest member; of equals the first."""
        return max(self.members, key=lambda i: (fitnesses[i], -i))

    def restart(self, fitnesses: Mapping[int, Fitness]) -> None:
        """Begin again with nothing but the best member."""
        best = self.best(fitnesses)
        self.members.clear()
        self.members.append(best)
        self.record, self.stale = fitnesses[best], 0
