"""Approximate simplification: leave something out, or round a constant, and measure the loss.

Each proposal is trained against the program as it stood after the exact steps. It is accepted when
the paired difference lies above minus a stated margin at 95 % confidence. All comparisons are
with that one anchor, so that the margins of several steps do not add up, and the end result is
confirmed once more on fresh seeds.

Decoupled weight decay is left alone but for rounding: like the learning rate it is a
hyperparameter, and small tasks say nothing about how much of it a large one needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from evosearch.language.rule import Rule, RuleSet
from evosearch.recognize.blackbox import Box
from evosearch.simplify import simplify_rule
from evosearch.simplify.certificate import PairedTest, Simplified, Step
from evosearch.simplify.graph import Graph, Terms, read, substitute
from evosearch.simplify.probe import deviation, probe, run
from evosearch.simplify.schedule import write
from evosearch.studies.kept_scores import PairedScores
from evosearch.studies.noninferiority import NoninferiorityTest
from primitives.op import Constant
from primitives.table import OPS

__all__ = ["approximate", "round_to"]

_CONFIRMATIONS: Final = 3
"""Proposals a round that are tested after the screening."""
_MOST_DIGITS: Final = 3
_TOGETHER: Final = 8
"""Proposals that are screened at once: what an interruption loses, and how often progress shows."""

Report = Callable[[str], None]


@dataclass(frozen=True)
class _Change:
    """A changed program, the step that it would be, and the exact steps that follow from it."""

    rules: RuleSet
    step: Step
    after: tuple[Step, ...]

    @property
    def size(self) -> int:
        return self.rules.size


def approximate(
    simplified: Simplified, test: NoninferiorityTest, progress: Report = lambda _: None
) -> Simplified:
    """Return a simplification taken further by measured steps, the rejected ones recorded.

    Args:
        simplified: what the exact steps led to.
        test: the tasks, seeds, margin and budget.
        progress: called with a line of text before each round of tests, and within it.
    """
    search = _Search(simplified, test, progress)
    search.leave_out()
    search.round_constants()
    return search.finish()


class _Search:
    def __init__(self, simplified: Simplified, test: NoninferiorityTest, progress: Report) -> None:
        self.simplified = simplified
        self.test = test
        self.progress = progress
        self.anchor = simplified.program
        self.current = simplified.program
        self.steps: list[Step] = []
        self._next = 0
        self._spent = 0
        self._rounds = 0
        self._seconds = 0.0
        self._tried: set[str] = {str(self.anchor)}
        self._trail: list[tuple[RuleSet, int]] = []

    def leave_out(self) -> None:
        """Replace values by their operands as long as that does no harm."""
        while self._round("leave out", list(_ablations(self.current))):
            pass

    def round_constants(self) -> None:
        """Round all constants as far as possible at once, then each on its own."""
        for digits in range(1, _MOST_DIGITS + 1):
            what = f"all constants to {digits} digit{'s' if digits > 1 else ''}"
            if self._round(what, list(_rounded(self.current, digits))):
                break
        while self._round("single constants", list(_rounded_one(self.current))):
            pass

    def _most_rounds(self) -> int:
        """Return how many rounds there may be: one for each statement, constant and rounding."""
        constants = sum(len(_constants(s.args)) for _, r in _labelled(self.anchor) for s in r.body)
        return self.anchor.size + _MOST_DIGITS + constants

    def _round(self, what: str, proposals: list[_Change]) -> bool:
        """Test proposals, the most promising first; return whether one was accepted."""
        proposals = [p for p in proposals if str(p.rules) not in self._tried]
        self._tried |= {str(p.rules) for p in proposals}
        if not proposals or self._spent >= self.test.budget:
            return False
        self._rounds += 1
        rounds = f"round {self._rounds} of at most {self._most_rounds()}"
        self.progress(f"{rounds}, {what}: {len(proposals)} proposals; {self._left()}")
        screened = self._screen(proposals)
        hopeful: list[_Change] = []
        for proposal, test in zip(proposals, screened, strict=False):  # as far as the budget goes
            if test.difference > -self.test.margin:
                hopeful.append(proposal)
            else:
                self._reject(proposal, test)
        order = {id(p): -t.difference for p, t in zip(proposals, screened, strict=False)}
        hopeful.sort(key=lambda p: (p.size, order[id(p)]))
        for proposal in hopeful[:_CONFIRMATIONS]:
            if self._spent >= self.test.budget:
                return False
            test = self._decide(proposal.rules)
            if test.low > -self.test.margin:
                self._trail.append((self.current, len(self.steps)))
                self.current = proposal.rules
                text = f"no loss beyond {self.test.margin:g} at 95 % confidence"
                self.steps.append(replace(proposal.step, licence=text, test=test))
                self.steps += proposal.after
                return True
            self._reject(proposal, test)
        return False

    def _left(self) -> str:
        """Return what of the budget is spent, and how long the rest of it would take."""
        text = f"{self._spent:,} of at most {self.test.budget:,} trainings"
        if not self._spent:
            return text
        left = self._seconds / self._spent * max(0, self.test.budget - self._spent)
        minutes = math.ceil(left / 60)
        return f"{text}, at most {minutes} minute{'' if minutes == 1 else 's'} more"

    def _screen(self, proposals: list[_Change]) -> list[PairedTest]:
        replicates = range(self._next, self._next + self.test.screening)
        self._next += self.test.screening
        texts = [str(p.rules) for p in proposals]
        tests: list[PairedTest] = []
        while len(tests) < len(texts) and self._spent < self.test.budget:
            some = texts[len(tests) : len(tests) + _TOGETHER]
            compared = self.test.compare(str(self.anchor), some, replicates)
            tests += map(self.test.judge, compared)
            self._spend(*compared)
            if len(tests) < len(texts):
                self.progress(f"  {len(tests)} of {len(texts)} screened; {self._left()}")
        return tests

    def _decide(self, rules: RuleSet) -> PairedTest:
        test, self._next = self.test.decide(str(self.anchor), str(rules), self._next)
        self._spend(test)
        return test

    def _spend(self, *costs: PairedScores | PairedTest) -> None:
        self._spent += sum(cost.trainings for cost in costs)
        self._seconds += sum(cost.seconds for cost in costs)

    def _reject(self, proposal: _Change, test: PairedTest) -> None:
        lost = test.high < -self.test.margin
        why = "a loss beyond the margin" if lost else "a loss beyond the margin is not excluded"
        step = replace(proposal.step, licence=why, test=test, accepted=False, program="")
        self.steps.append(step)

    def finish(self) -> Simplified:
        """Confirm the result on fresh seeds; as long as that fails, take the last change back."""
        from evosearch.recognize.recognize import recognize

        while self.current != self.anchor:
            self.progress(f"confirmation on fresh seeds; {self._left()}")
            if self._confirm():
                break
        steps = (*self.simplified.steps, *self.steps)
        name = recognize(self.current)
        return replace(self.simplified, program=self.current, steps=steps, recognition=name)

    def _confirm(self) -> bool:
        test = self._decide(self.current)
        holds = test.low > -self.test.margin
        step = Step(
            rule="matrix",
            stage="confirmation",
            identity="all measured steps together",
            licence="the result against that of the exact steps, on seeds of its own",
            before=str(self.anchor),
            after=str(self.current),
            deviation=_deviation(self.anchor.matrix, self.current.matrix),
            accepted=holds,
            program=str(self.current) if holds else "",
            test=test,
        )
        if not holds:
            self.current, start = self._trail.pop()
            undone = (replace(s, accepted=False, program="") for s in self.steps[start:])
            self.steps[start:] = list(undone)
        self.steps.append(step)
        return holds


def _ablations(rules: RuleSet) -> Iterator[_Change]:
    """Yield every shorter program in which one value is replaced by one of its operands."""
    for label, rule in _labelled(rules):
        terms = Terms()
        graph = read(rule, terms)
        decay = Box(rule).decay
        for node in graph.nodes:
            for child in dict.fromkeys(node.children):
                if child.shape != node.shape:
                    continue
                new = substitute(graph, terms, {node: child})
                if new is None or not _depends_on_g(new):
                    continue
                before, after = repr(node), repr(child)
                step = Step(label, "ablation", f"{before} -> {after}", "", before, after, 0.0)
                found = _proposal(rules, new, step)
                shorter = found.size < rules.size
                if shorter and (decay is None or _keeps_decay(found, label, decay)):
                    yield found


def _keeps_decay(proposal: _Change, label: str, decay: float) -> bool:
    rule = dict(_labelled(proposal.rules)).get(label)
    kept = None if rule is None else Box(rule).decay
    return kept is not None and (decay == 0.0) == (kept == 0.0)


def _depends_on_g(graph: Graph) -> bool:
    return "g" in graph.alive().leaves


def _rounded(rules: RuleSet, digits: int) -> Iterator[_Change]:
    """Yield the program with all constants rounded."""
    for label, rule in _labelled(rules):
        places = [(i, j) for i, s in enumerate(rule.body) for j in _constants(s.args)]
        yield from _with_constants(rules, label, rule, places, digits)


def _rounded_one(rules: RuleSet) -> Iterator[_Change]:
    """Yield programs with one constant rounded to one digit."""
    for label, rule in _labelled(rules):
        for i, statement in enumerate(rule.body):
            for j in _constants(statement.args):
                yield from _with_constants(rules, label, rule, [(i, j)], 1)


def _constants(args: tuple[str | float, ...]) -> list[int]:
    return [j for j, a in enumerate(args) if not isinstance(a, str)]


def _with_constants(
    rules: RuleSet, label: str, rule: Rule, places: list[tuple[int, int]], digits: int
) -> Iterator[_Change]:
    body, before, after = list(rule.body), [], []
    for i, j in places:
        statement = body[i]
        value = float(statement.args[j])
        short = round_to(value, digits, _kind(statement.op, j))
        if short != value:
            args = (*statement.args[:j], short, *statement.args[j + 1 :])
            body[i] = replace(statement, args=args)
            before.append(f"{value:g}")
            after.append(f"{short:g}")
    if before:
        new = read(replace(rule, body=tuple(body)), Terms())
        identity = f"constants to {digits} digit{'s' if digits > 1 else ''}"
        change = ", ".join(before), ", ".join(after)
        yield _proposal(rules, new, Step(label, "rounding", identity, "", *change, 0.0))


def _kind(op: str, place: int) -> Constant:
    row = OPS[op]
    return row.constants[place - row.arity] if place >= row.arity else Constant.GAIN


def round_to(value: float, digits: int, kind: Constant) -> float:
    """Round a constant to significant digits; a rate near 1 by its distance from 1."""
    near_one = kind in (Constant.RATE, Constant.DECAY) and 0.5 < value < 1.0
    if near_one:
        return round(1.0 - float(f"{1.0 - value:.{digits}g}"), 12)
    return float(f"{value:.{digits}g}")


def _proposal(rules: RuleSet, graph: Graph, step: Step) -> _Change:
    """Return a proposal for one rule, simplified by exact steps; `step` lacks what follows here."""
    old = dict(_labelled(rules))[step.rule]
    raw = write(graph, old.name)
    rule, after, _ = simplify_rule(raw, label=step.rule)
    step = replace(step, deviation=_deviation(old, raw), program=str(raw))
    new = replace(rules, matrix=rule) if step.rule == "matrix" else replace(rules, rest=rule)
    return _Change(new, step, after)


def _deviation(before: Rule, after: Rule) -> float:
    """Return how far the updates differ on the probes; of interest, not of consequence."""
    results = []
    for rule in (before, after):
        graph = read(rule, Terms())
        results.append(run(graph, probe(flat=False)).of(graph.update))
    return deviation(*results)


def _labelled(rules: RuleSet) -> list[tuple[str, Rule]]:
    both = [("matrix", rules.matrix)]
    return both if rules.rest is None else [*both, ("rest", rules.rest)]
