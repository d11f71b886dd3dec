"""Islands: populations that breed among themselves and forget their oldest."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from evosearch.evolution.fitness import Standing

__all__ = ["Island"]


@dataclass
class Island:
    """A queue of individuals that breed among themselves, by id."""

    members: deque[int] = field(default_factory=deque)
    record: Standing | None = None
    """The best standing since the last restart."""
    stale: int = 0
    """Individuals added since the record."""

    def add(self, id_: int, standings: Mapping[int, Standing], limit: int) -> None:
        """Take in the newest member; beyond the limit the oldest leaves."""
        self.members.append(id_)
        while len(self.members) > limit:
            self.members.popleft()
        standing = standings[id_]
        if self.record is None or standing > self.record:
            self.record, self.stale = standing, 0
        else:
            self.stale += 1

    def discard(self, id_: int) -> None:
        """Remove a member that failed."""
        self.members = deque(member for member in self.members if member != id_)

    def best(self, standings: Mapping[int, Standing]) -> int:
        """Return the member that stands best; of equals the first."""
        return max(self.members, key=lambda i: (standings[i], -i))

    def restart(self, standings: Mapping[int, Standing]) -> None:
        """Begin again with nothing but the best member."""
        best = self.best(standings)
        self.members.clear()
        self.members.append(best)
        self.record, self.stale = standings[best], 0
