"""Simplification: from a raw evolved program to the formula a person would write.

The exact stages remove what is dead or repeated, then apply the rewrites of
`evosearch.simplify.rewrite` and `evosearch.simplify.states` until none helps. A rewrite counts only
if the rewritten value agrees with the old one on the probe trajectories to 1e-9, and if the program
does not grow; one that fails is recorded as rejected. In the end the whole program is run against
the original once more.

    simplified = simplify(parse_rules(text))
    print(simplified.program, simplified.story())
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from evosearch.language.liveness import live_statements, strip
from evosearch.language.naming import named_rule
from evosearch.language.rule import Rule, RuleSet
from evosearch.language.ties import retied
from evosearch.simplify.algebra import Algebra, shared
from evosearch.simplify.certificate import PairedTest, RecognizedProgram, Simplified, Step
from evosearch.simplify.engine import Cause, RuleRewriter
from evosearch.simplify.graph import Terms, read
from evosearch.simplify.probe import TOLERANCE, deviation, probe, replay, run
from evosearch.simplify.rewrite import EXACT, INEXACT

__all__ = [
    "Algebra",
    "PairedTest",
    "RecognizedProgram",
    "Simplified",
    "Step",
    "shared",
    "simplify",
    "simplify_rule",
]

_RETRIES: Final = 8
"""How often the culprit of a deviation that only shows in the end is looked for."""
_LOOSE: Final = 1e-4
"""Largest relative deviation of a rewrite by a law that holds to a tolerance."""


def simplify(
    rules: RuleSet,
    exact: bool = True,
    algebra: Algebra | None = None,
    recognize: Callable[[RuleSet], RecognizedProgram | None] = lambda _: None,
) -> Simplified:
    """Simplify both rules of an optimizer without any training.

    Args:
        rules: the program.
        exact: apply exact laws only; otherwise also laws that hold to a tolerance, such as the
            scale invariance of Newton-Schulz.
        algebra: the sympy process to ask; by default this process's own, started when needed.
        recognize: says which known optimizer the result is; `evosearch.recognize` has one.
    """
    matrix, steps, worst = simplify_rule(rules.matrix, exact=exact, algebra=algebra)
    rest = None
    if rules.rest is not None:
        rest, more, other = simplify_rule(rules.rest, exact=exact, label="rest", algebra=algebra)
        steps, worst = (*steps, *more), max(worst, other)
    final = RuleSet(matrix, rest)
    return Simplified(rules, final, steps, worst, recognize(final))


def simplify_rule(
    rule: Rule, *, exact: bool = True, label: str = "matrix", algebra: Algebra | None = None
) -> tuple[Rule, tuple[Step, ...], float]:
    """Return the simplified rule, the steps, and the deviation of the exact ones as a whole."""
    algebra = shared() if algebra is None else algebra
    stripped = strip(rule)
    graph = read(stripped, Terms())
    data = probe(flat=rule.elementwise)
    original = replay(rule, data)
    error = deviation(original, run(graph, data).of(graph.update))
    opening = _opening(rule, stripped, label, error)
    banned: set[Cause] = set()
    for _ in range(_RETRIES if error <= TOLERANCE else 0):
        work = RuleRewriter(stripped, label, data, original, frozenset(banned))
        work.exhaust(EXACT)
        while work.consult(algebra):
            work.exhaust(EXACT)
        culprit, worst = work.audit()
        if culprit is None:
            break
        banned.add(culprit)
    else:
        return named_rule(stripped), tuple(opening), error
    work.polish()
    if not exact:
        work.exhaust(INEXACT, _LOOSE)
    return retied(named_rule(work.finish()), rule), (*opening, *work.steps), worst


def _opening(rule: Rule, stripped: Rule, label: str, error: float) -> list[Step]:
    """Return the steps that reading a rule into a graph amounts to."""
    steps: list[Step] = []
    marks, _ = live_statements(rule)
    dead = [str(s) for s, live in zip(rule.body, marks, strict=True) if not live]
    if len(stripped.body) < len(rule.body):
        gone = {s.name for s in rule.states} - {s.name for s in stripped.states}
        what = f"{len(dead)} dead statement{'s' if len(dead) > 1 else ''}"
        what += f", dead states: {', '.join(sorted(gone))}" if gone else ""
        why = "their values never reach an update, in this step or a later one"
        text = "; ".join(dead)
        steps.append(Step(label, "liveness", what, why, text, "", error, program=str(stripped)))
    return steps
