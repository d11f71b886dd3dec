"""Rule to Python source: what is evaluated is what is exported.

The source inlines each op's template, one line a statement, and calls the kernels by name. Rules
are stripped first: redundant statements live in the genome, not in what runs. A value that nobody
reads again is overwritten where the op can: an update is as fast as memory is, and in place there
is a third less of it.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

from evosearch.language.check import infer
from evosearch.language.known import rest_of
from evosearch.language.liveness import periods, strip
from evosearch.language.rule import Argument, Rule, RuleSet, Statement
from evosearch.training.vm.assemble import Assembly, assemble
from primitives.op import Law
from primitives.shape import Shape
from primitives.table import OPS

__all__ = [
    "CompiledRule",
    "CompiledRules",
    "compile_rule",
    "compile_rules",
    "line",
    "positive_denominators",
    "source",
]

_SMALLEST: Final = 2.0**-126
"""The smallest number that is not 0 in float32 or bfloat16, subnormal ones flushed."""


@dataclass(frozen=True)
class CompiledRule:
    """A rule as a function on tensors (..., m, n); leading dimensions are lanes and stacks."""

    rule: Rule
    """The stripped rule that the function computes."""

    @property
    def states(self) -> tuple[Shape, ...]:
        """The shapes of its states, which start at zero."""
        return tuple(state.shape for state in self.rule.states)

    @property
    def elementwise(self) -> bool:
        """Whether one call may cover a flat buffer of many parameters."""
        return self.rule.elementwise

    @property
    def rank_free(self) -> bool:
        """Whether it applies to tensors of any rank, one parameter at a time."""
        return self.rule.rank_free

    @cached_property
    def update(self) -> Callable[..., tuple[Any, ...]]:
        """The function ``(w, g, t, *states) -> (update, *new_states)``.

        It only reads w and g, but consumes the states: their memory may hold the results.
        """
        from evosearch.training.lane_kernels import lane_kernels

        scope = dict(lane_kernels())
        exec(compile(source(self.rule, "update"), f"<{self.rule.name}>", "exec"), scope)
        return scope["update"]

    @cached_property
    def _assembly(self) -> Assembly | None:
        return assemble(self.rule)

    @property
    def kept(self) -> Callable[[Any], Any] | None:
        """What the weights (..., m, n) keep while they move by the update: a function, or None."""
        return OPS[self.rule.keeps].function if self.rule.keeps else None

    def bound(self, w: Any, g: Any, states: Any) -> Callable[[float], Any] | None:
        """Return what does the same as `update` to these tensors again and again, but quicker.

        A function of the step number that updates the states in place and returns the update; None
        where there is none.
        """
        from evosearch.training.vm.machine import Machine

        return None if self._assembly is None else Machine.bind(self._assembly, w, g, states)


@dataclass(frozen=True)
class CompiledRules:
    """Both rules of an optimizer, compiled."""

    matrix: CompiledRule
    rest: CompiledRule


@lru_cache(maxsize=1024)
def compile_rule(rule: Rule) -> CompiledRule:
    """Compile one rule, stripped."""
    return CompiledRule(strip(rule))


def compile_rules(rules: RuleSet) -> CompiledRules:
    """Compile a rule set; a missing rest is filled in as `RuleSet` documents."""
    return CompiledRules(compile_rule(rules.matrix), compile_rule(rest_of(rules)))


def source(rule: Rule, name: str) -> str:
    """Return the text of a function ``name(w, g, t, *states)`` that computes the rule.

    The function only reads w and g; the memory of the states is its own.
    """
    states = [state.name for state in rule.states]
    lines = [f"def {name}({', '.join(['w', 'g', 't', *states])}):"]
    plans = zip(rule.body, positive_denominators(rule), _reusable(rule), strict=True)
    often = periods(rule)
    for (s, plain, reuse), period in zip(plans, often, strict=True):
        text = line(s, plain=plain, reuse=reuse)
        if period == 1.0:
            lines.append(text)
        else:  # a step that is a tensor is not known here; then both values of `every` are computed
            due = f"isinstance(t, torch.Tensor) or (t - 1) % {period!r} == 0"
            lines += [f"if {due}:", f"    {text}", "else:", f"    {s.target} = None"]
    lines += [f"return {', '.join([rule.update, *states])},"]
    return "\n    ".join(lines) + "\n"


def line(statement: Statement, *, plain: bool = False, reuse: Container[Argument] = ()) -> str:
    """Return the Python assignment that computes a statement.

    Args:
        statement: the statement.
        plain: whether a division needs no guard against 0.
        reuse: variables that the result may overwrite.
    """
    op, args = OPS[statement.op], statement.args
    inplace = "{0}.div_({1})" if plain else op.inplace
    if inplace and args[0] not in reuse and Law.COMMUTATIVE in op.exact_laws:
        args = args[::-1]
    if inplace and args[0] in reuse and args.count(args[0]) == 1:
        template = inplace
    else:
        args, template = statement.args, "{0} / {1}" if plain else op.torch
    return f"{statement.target} = {template.format(*map(_word, args))}"


def _reusable(rule: Rule) -> tuple[frozenset[Argument], ...]:
    """Return, for each statement, the arguments of the result's shape that are not read again."""
    results = infer(rule)
    if results is None:
        raise ValueError(f"expected a legal rule, found:\n{rule}")
    shapes = {state.name: state.shape for state in rule.states}  # w and g are not the rule's own
    same: list[set[Argument]] = []
    for statement, result in zip(rule.body, results, strict=True):
        same.append({name for name in statement.reads if shapes.get(name) == result})
        shapes[statement.target] = result
    needed = {rule.update, *(state.name for state in rule.states)}
    reusable: list[frozenset[Argument]] = []
    for statement, names in zip(reversed(rule.body), reversed(same), strict=True):
        needed.discard(statement.target)
        reusable.append(frozenset(names - needed))
        needed.update(statement.reads)
    return tuple(reversed(reusable))


def positive_denominators(rule: Rule) -> tuple[bool, ...]:
    """Return which statements are divisions whose denominator cannot be 0.

    A value that is never negative plus a positive number is one, as in Adam's ``sqrt(v) + eps``;
    for such a denominator safe division and plain division are the same, and plain is faster.
    """
    nonnegative: set[str] = set()
    positive: set[str] = set()
    result: list[bool] = []
    for statement in rule.body:
        args, target = statement.args, statement.target
        result.append(statement.op == "div" and _positive(args[1], positive))
        grows = statement.op == "add" and (
            (_positive(args[0], ()) and args[1] in nonnegative)
            or (_positive(args[1], ()) and args[0] in nonnegative)
        )
        nonnegative.discard(target)
        positive.discard(target)
        if grows:
            positive.add(target)
        if grows or Law.NONNEGATIVE in OPS[statement.op].exact_laws:
            nonnegative.add(target)
    return tuple(result)


def _positive(argument: Argument, positive: Container[Argument]) -> bool:
    return argument in positive if isinstance(argument, str) else argument >= _SMALLEST


def _word(argument: Argument) -> str:
    if isinstance(argument, str):
        return argument
    return repr(argument) if argument >= 0 else f"({argument!r})"
