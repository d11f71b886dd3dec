"""The panel: known optimizers, and what published tests say of them at scale.

A pair is decided where one source says that one of two members is better, beyond its noise. Of a
pair on which two sources contradict each other, nothing is decided. A decided pair within a family
is a hard one: nearly anything tells Muon from momentum.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import combinations
from typing import Any, Final

import numpy as np

from evosearch.language.known import default_rest, known
from evosearch.language.parse import parse_rules
from evosearch.language.rule import RuleSet

__all__ = ["Pair", "Panel", "levels", "panel"]

_STANDARD_ERRORS: Final = 2.0
"""By how many a published difference has to exceed its noise."""


@dataclass(frozen=True)
class Pair:
    """A decided pair."""

    better: str
    worse: str
    sources: tuple[str, ...]
    """Who says so."""


@dataclass(frozen=True)
class Panel:
    """All members and what is known of them."""

    families: Mapping[str, tuple[str, ...]]
    programs: Mapping[str, str]
    """Program text by member: its rule for matrices, and the rest that is the same for all."""
    pairs: tuple[Pair, ...]
    """Every decided pair once."""
    near: frozenset[tuple[str, str]]
    """Pairs that a source finds level."""
    named: frozenset[tuple[str, str]]
    """Better and worse of those hard pairs that a search has to tell apart."""
    sources: Mapping[str, str]
    """Addresses by source."""

    @property
    def members(self) -> tuple[str, ...]:
        """Their names, family by family."""
        return tuple(name for names in self.families.values() for name in names)

    def family(self, member: str) -> str:
        """Return a member's family."""
        return next(family for family, names in self.families.items() if member in names)

    def hard(self, pair: Pair) -> bool:
        """Whether both are of one family."""
        return self.family(pair.better) == self.family(pair.worse)

    def of(self, source: str) -> tuple[Pair, ...]:
        """Return the pairs that a source decides."""
        return tuple(pair for pair in self.pairs if source in pair.sources)


@cache
def panel() -> Panel:
    """Return the panel that ships with the package."""
    text = files("evosearch.studies.calibration").joinpath("panel.toml").read_text("utf-8")
    data = tomllib.loads(text)
    families = {family: tuple(names) for family, names in data["families"].items()}
    programs = {
        name: _program(data["programs"].get(name), name)
        for names in families.values()
        for name in names
    }
    decided: dict[tuple[str, str], list[str]] = {}
    for source in data["steps"]:
        for better, worse in _by_steps(source):
            decided.setdefault((better, worse), []).append(source["source"])
    for source in data["orders"]:
        for order in source["of"]:
            for better in order["better"]:
                for worse in order["worse"]:
                    decided.setdefault((better, worse), []).append(source["source"])
    pairs = tuple(
        Pair(better, worse, tuple(dict.fromkeys(sources)))
        for (better, worse), sources in decided.items()
        if (worse, better) not in decided
    )
    near = frozenset(
        pair for s in data["orders"] for names in s["near"] for pair in combinations(names, 2)
    )
    named = frozenset((b, worse) for worse, names in data["named"].items() for b in names)
    sources = {s["source"]: s["url"] for s in (*data["steps"], *data["orders"])}
    return Panel(families, programs, pairs, near, named, sources)


def _program(text: str | None, name: str) -> str:
    rules = parse_rules(text) if text else known(name)
    return str(RuleSet(rules.matrix, default_rest()))


def _by_steps(source: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield better and worse of what differs beyond the noise."""
    for a, b in combinations(source["of"], 2):
        noise = sum(
            row.get("error", source["error"] / row.get("runs", 1) ** 0.5) ** 2 for row in (a, b)
        )
        better, worse = (a, b) if a["steps"] < b["steps"] else (b, a)
        if worse["steps"] - better["steps"] > _STANDARD_ERRORS * noise**0.5:
            yield better["name"], worse["name"]


def levels(
    members: Iterable[str], pairs: Iterable[Pair], near: Iterable[tuple[str, str]] = ()
) -> dict[str, float]:
    """Return one order of the members that agrees with what is known as well as may be.

    Least squares of the difference within a pair to 1 where it is decided and to 0 where a source
    finds it level (Jiang, Lim, Yao and Ye, Math. Program. 127, 2011), so a member stands the higher
    the more, and the higher ones, it beats. Only the order of the levels means something. A member
    without a decided pair is left out.
    """
    found = list(pairs)
    names = [m for m in members if any(m in (p.better, p.worse) for p in found)]
    at = {name: i for i, name in enumerate(names)}
    edges = [(p.better, p.worse, 1.0) for p in found]
    edges += [(a, b, 0.0) for a, b in sorted(near) if a in at and b in at]
    matrix = np.zeros((len(edges), len(names)))
    for row, (better, worse, _) in zip(matrix, edges, strict=True):
        row[at[better]], row[at[worse]] = 1.0, -1.0
    solution, *_ = np.linalg.lstsq(matrix, np.array([d for *_, d in edges]), rcond=None)
    return dict(zip(names, map(float, solution), strict=True))
