"""What a search may say: ops, and limits on size, state and cost that programs must keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Final, Literal

from evosearch.language.check import result_shape
from evosearch.language.cost import rule_cost
from evosearch.language.known import KNOWN, known
from evosearch.language.liveness import strip
from evosearch.language.rule import Rule, RuleSet
from evosearch.mutation.fragment import Fragment, slices
from evosearch.mutation.motif import harvest
from evosearch.mutation.rng import Rng
from primitives.op import Op
from primitives.shape import Shape
from primitives.table import FAMILIES, OPS

__all__ = ["ELITES", "LIBRARY", "Scope", "Space"]

Scope = Literal["both", "matrix", "single"]

LIBRARY: Final = "library"
"""Among donors: all known optimizers."""
ELITES: Final = "elites"
"""Among donors: the run's own best for their size."""
_OWN: Final = 0.5
"""How often a donor is an elite, where there are elites."""


@dataclass(frozen=True)
class Space:
    """A search space over one op table; a subset of ops is a list of names."""

    ops: tuple[str, ...] = tuple(name for name, op in OPS.items() if op.drawn)
    max_statements: int = 24
    """Statements in one rule, redundant ones included."""
    max_states: int = 2
    """Parameter-sized buffers that one rule needs; states without effect do not count."""
    spare_states: int = 0
    """Parameter-sized buffers besides, that may be read as long as they have no effect: what lies
    between ``m / sqrt(v)`` and ``sign(m)`` needs one."""
    max_cost: float | None = None
    """Floating-point operations an entry that a rule's update of a 64 x 64 matrix may take
    (`evosearch.language.cost`), what has no effect left out; unlimited where None."""
    scope: Scope = "both"
    """Which rules may change: both, the matrices' alone, or a single one that serves everything."""
    edits: tuple[str, ...] = ()
    """Names of the mutations to use; empty means those that are drawn by default."""
    frequencies: tuple[tuple[str, float], ...] = ()
    """How often mutations are drawn, by name, where it is not as the table of edits says."""
    by_family: bool = False
    """Whether an op is drawn by its family first; otherwise all ops are equally likely."""
    donors: tuple[str, ...] = ()
    """What slices and motifs are taken from: known optimizers, `LIBRARY` and `ELITES`."""
    elites: tuple[Rule, ...] = ()
    """The rules that `ELITES` stands for, in order; a search says which they are."""

    @cached_property
    def rows(self) -> tuple[Op, ...]:
        """The ops as table rows."""
        return tuple(OPS[name] for name in self.ops)

    @cached_property
    def families(self) -> tuple[tuple[Op, ...], ...]:
        """The rows by family."""
        return _by_family(self.rows)

    def draw(self, rng: Rng) -> Op:
        """Return one of the ops."""
        return rng.pick(rng.pick(self.families)) if self.by_family else rng.pick(self.rows)

    def draw_among(self, ops: Sequence[Op], rng: Rng) -> Op:
        """Return one of some ops, by family first."""
        return rng.pick(rng.pick(_by_family(tuple(ops))))

    def fitting(self, shapes: tuple[Shape, ...], result: Shape) -> tuple[Op, ...]:
        """Return the ops that make a result of such operands."""
        if (shapes, result) not in self._fitting:
            self._fitting[shapes, result] = tuple(
                op
                for op in self.rows
                if op.arity == len(shapes) and result_shape(op.name, shapes) == result
            )
        return self._fitting[shapes, result]

    @cached_property
    def _fitting(self) -> dict[tuple[tuple[Shape, ...], Shape], tuple[Op, ...]]:
        return {}

    def slices(self, shape: Shape, rng: Rng) -> Sequence[Fragment]:
        """Return donors' slices that make values of a shape: of elites, or of the library."""
        own = bool(self.elites) and (not self._library or rng.chance(_OWN))
        return _slices(self.elites if own else self._library, self._allowed).get(shape, ())

    def motifs(self, shape: Shape, rng: Rng) -> Sequence[Fragment]:
        """Return donors' motifs that make values of a shape: of elites, or of the library."""
        own = bool(self.elites) and (not self._library or rng.chance(_OWN))
        return _motifs(self.elites if own else self._library, self._allowed).get(shape, ())

    @cached_property
    def _library(self) -> tuple[Rule, ...]:
        names = KNOWN if LIBRARY in self.donors else self.donors
        return tuple(strip(known(name).matrix) for name in names if name != ELITES)

    @cached_property
    def _allowed(self) -> frozenset[str]:
        return frozenset(self.ops)

    @cached_property
    def stateful(self) -> tuple[Op, ...]:
        """The ops that can fold a value into a state: two tensors, elementwise."""
        return tuple(op for op in self.rows if op.arity == 2 and op.elementwise)

    @cached_property
    def replacements(self) -> dict[str, tuple[Op, ...]]:
        """For each op, the others with the same signature."""
        return {
            name: tuple(
                row for row in self.rows if row.signature == op.signature and row.name != name
            )
            for name, op in OPS.items()
        }

    def holds(self, rule: Rule) -> bool:
        """Whether a rule keeps the limits, as far as its text tells."""
        if len(rule.body) > self.max_statements:
            return False
        states = self.max_states + self.spare_states
        if rule.state_memory > states and strip(rule).state_memory > states:
            return False
        return self.max_cost is None or rule_cost(strip(rule)) <= self.max_cost

    def contains(self, rules: RuleSet) -> bool:
        """Whether a rule set keeps the limits and uses the space's ops only."""
        allowed = set(self.ops)
        return all(self.holds(r) and {s.op for s in r.body} <= allowed for r in rules.rules)


@cache
def _by_family(ops: tuple[Op, ...]) -> tuple[tuple[Op, ...], ...]:
    families = (tuple(op for op in family if op in ops) for family in FAMILIES.values())
    return tuple(family for family in families if family)


@lru_cache(maxsize=16)  # elites change
def _slices(rules: tuple[Rule, ...], ops: frozenset[str]) -> dict[Shape, tuple[Fragment, ...]]:
    return _by_shape([f for rule in rules for f in slices(rule)], ops)


@lru_cache(maxsize=16)
def _motifs(rules: tuple[Rule, ...], ops: frozenset[str]) -> dict[Shape, tuple[Fragment, ...]]:
    return _by_shape(harvest(rules), ops)


def _by_shape(
    fragments: Sequence[Fragment], ops: frozenset[str]
) -> dict[Shape, tuple[Fragment, ...]]:
    """Return those that need no other ops, each once, by the shape that they make."""
    found: dict[Shape, list[Fragment]] = {}
    for fragment in dict.fromkeys(fragments):
        if fragment.ops <= ops:
            found.setdefault(fragment.shape, []).append(fragment)
    return {shape: tuple(fragments) for shape, fragments in found.items()}
