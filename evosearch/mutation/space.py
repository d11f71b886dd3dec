"""What the search may say: the ops and the limits on size and state that programs must keep."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from evosearch.language.liveness import strip
from evosearch.language.rule import Rule, RuleSet
from primitives.op import Op
from primitives.table import OPS

__all__ = ["Scope", "Space"]

Scope = Literal["both", "matrix", "single"]


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
    scope: Scope = "both"
    """Which rules may change: both, the matrices' alone, or a single one that serves everything."""
    edits: tuple[str, ...] = ()
    """Names of the mutations to use; empty means all."""

    @cached_property
    def rows(self) -> tuple[Op, ...]:
        """The ops as table rows."""
        return tuple(OPS[name] for name in self.ops)

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
        return rule.state_memory <= states or strip(rule).state_memory <= states

    def contains(self, rules: RuleSet) -> bool:
        """Whether a rule set keeps the limits and uses the space's ops only."""
        allowed = set(self.ops)
        return all(self.holds(r) and {s.op for s in r.body} <= allowed for r in rules.rules)
