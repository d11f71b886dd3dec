"""Individuals, and the packs of them that are evaluated together."""

from __future__ import annotations

from dataclasses import dataclass

from evosearch.language.parse_cache import parsed
from evosearch.language.rule import RuleSet

__all__ = ["Individual", "Pack"]


@dataclass(frozen=True, slots=True)
class Individual:
    """A candidate and where it came from."""

    id: int
    genome_text: str
    """The genome, redundant statements included, as text: rules take more memory."""
    fingerprint: str
    parents: tuple[int, ...]
    mutation: str

    @property
    def genome(self) -> RuleSet:
        """The program as it was bred, redundant statements included."""
        return parsed(self.genome_text)


@dataclass(frozen=True)
class Pack:
    """Candidates that are evaluated together."""

    number: int
    round: int
    """0 for new candidates; otherwise a re-evaluation of known ones on fresh seeds."""
    individuals: tuple[Individual, ...]
    proposals: int = 0
    """Children made while looking for new ones."""
    hits: int = 0
    """Children that computed what was known already."""
    closed: tuple[int, ...] | None = ()
    """Those of whose forms no other constants are tried from here on, because none were new; None
    where an attempt to make a pack failed before this one, so that these are not all."""

    @property
    def confirms(self) -> bool:
        """Whether it re-evaluates known candidates."""
        return self.round > 0
