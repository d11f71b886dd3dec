"""Cores: what is evaluated of a program, and what a search has to know of that."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from evosearch.equivalence.shrink import shrink
from evosearch.language.cost import update_cost
from evosearch.language.parse_cache import parsed
from evosearch.language.rule import INPUTS, Argument, Rule, RuleSet

__all__ = ["Core", "form"]


@dataclass(frozen=True, slots=True)
class Core:
    """A program out of which nothing can be taken.

    It is a function of the candidate's program alone, so whoever evaluates the candidate finds it,
    and says all that the search needs of it: the search itself then need not even read its text.
    """

    text: str
    statements: int
    """Statements of both rules."""
    size: int
    """Statements of the rule for matrices."""
    states: int
    """States of the rule for matrices."""
    memory: int
    """Parameter-sized states among them."""
    cost: float
    """Floating-point operations of an update for each entry of a matrix."""
    form: str
    """What it is but for its constants and names: what forms have in common that are tuned
    together."""

    @classmethod
    def of(cls, program: RuleSet) -> Core:
        """Find a program's core."""
        return cls.known(shrink(program))

    @classmethod
    def known(cls, rules: RuleSet) -> Core:
        """Describe a core."""
        matrix = rules.matrix
        return cls(
            text=str(rules),
            statements=rules.size,
            size=len(matrix.body),
            states=len(matrix.states),
            memory=matrix.state_memory,
            cost=update_cost(rules),
            form=form(rules),
        )

    @property
    def rules(self) -> RuleSet:
        """The program."""
        return parsed(self.text)


def form(rules: RuleSet) -> str:
    """Return a digest of a rule set but for its constants and the names of its variables."""
    text = "\n".join(map(_blanked, rules.rules))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _blanked(rule: Rule) -> str:
    names = {name: name for name in INPUTS}

    def word(argument: Argument) -> str:
        return names.setdefault(argument, f"x{len(names)}") if isinstance(argument, str) else "#"

    lines = [f"{word(state.name)}: {state.shape}" for state in rule.states]
    for statement in rule.body:
        arguments = ", ".join(map(word, statement.args))
        lines.append(f"{statement.op}({arguments}) -> {word(statement.target)}")
    return "\n".join([*lines, word(rule.update)])
