"""The engine: one rule on its way from raw to simple."""

from __future__ import annotations

from dataclasses import dataclass, replace

from evosearch.equivalence.agreement import agree
from evosearch.language.rule import Rule
from evosearch.simplify import linear
from evosearch.simplify.algebra import Algebra
from evosearch.simplify.bounds import bounds_of
from evosearch.simplify.certificate import Step
from evosearch.simplify.fixpoint import LONGEST, key_of, settled, unscaled
from evosearch.simplify.graph import Graph, Node, Operand, Terms, read, substitute
from evosearch.simplify.order import canonical_order, labels
from evosearch.simplify.probe import TOLERANCE, FloatArray, Probe, Values, deviation, run
from evosearch.simplify.regions import regions
from evosearch.simplify.rewrite import Context, Rewrite
from evosearch.simplify.schedule import write
from evosearch.simplify.states import Proposal, propose
from evosearch.simplify.style import restyle, spell_decay

__all__ = ["Cause", "RuleRewriter"]

Cause = tuple[str, str]
"""What a step was, so that it can be done without: the identity, and the node's digest."""


@dataclass(frozen=True)
class _Snapshot:
    """The graph after a step, with what is needed to undo the step."""

    graph: Graph
    factor: float
    cause: Cause
    steps: int
    """How many steps it took, rejected ones included."""


class RuleRewriter:
    """One rule on its way."""

    def __init__(
        self,
        rule: Rule,
        label: str,
        data: Probe,
        original: list[FloatArray],
        banned: frozenset[Cause],
    ) -> None:
        self.rule = rule
        self.original = original
        """The updates of the raw rule on the probe."""
        self.label = label
        self.banned = banned
        self.terms = Terms()
        self.graph = read(rule, self.terms)
        self.data = data
        self.values = run(self.graph, self.data)
        self.factor = 1.0
        self.steps: list[Step] = []
        self._seen: set[tuple[object, ...]] = set()
        self._idle: set[tuple[str, Node]] = set()
        self._context = self._fresh_context()
        merged = len(rule.body) - self.graph.size
        if merged > 0:
            self._record("repetition", f"{merged} repeated expressions", "same op, same arguments")
        self.history = [_Snapshot(self.graph, 1.0, ("", ""), len(self.steps))]

    # -- the loop

    def exhaust(self, rows: tuple[Rewrite, ...], tolerance: float = TOLERANCE) -> None:
        """Apply rewrites until none helps."""
        self._idle.clear()
        while len(self.history) < LONGEST:
            changed = self._rewrite(rows, tolerance)
            changed = changed or self._unscale_update() or self._rewrite_states()
            if not changed and not self._idle:
                return
            if not changed:  # the canonical order may have moved since a row was last tried
                self._idle.clear()
                if not self._rewrite(rows, tolerance):
                    return

    def _rewrite(self, rows: tuple[Rewrite, ...], tolerance: float) -> bool:
        for node in self.graph.nodes:
            for row in rows:
                if node.op in row.ops and (row.identity, node) not in self._idle:
                    for value in row.propose(self._context, node):
                        if self._try(row, node, value, tolerance):
                            return True
                    self._idle.add((row.identity, node))
        return False

    def _try(self, row: Rewrite, node: Node, value: Operand | None, tolerance: float) -> bool:
        if value is None or linear.same_but_rounding(node, value):
            return False
        cause = (row.identity, self._context.order(node)[1])
        if cause in self.banned:
            return False
        if isinstance(value, Node) and value.shape != node.shape:
            return False
        graph = substitute(self.graph, self.terms, {node: value})
        if graph is None or not self._shorter(graph):
            return False
        error = self._error(self.values.of(node), self.values.of(value), tolerance)
        stage = "algebra" if tolerance <= TOLERANCE else "tolerance"
        licence = row.law if tolerance <= TOLERANCE else f"{row.law} ({tolerance:g})"
        step = Step(self.label, stage, row.identity, licence, repr(node), repr(value), error)
        if error > tolerance:
            self._reject(step)
            return False
        self._accept(graph, step, cause, run(graph, self.data) if tolerance > TOLERANCE else None)
        return True

    def _error(self, before: list[FloatArray], after: list[FloatArray], tolerance: float) -> float:
        if tolerance > TOLERANCE:  # such laws speak of gradients of ordinary size
            before, after = ([a[:, :1] for a in arrays] for arrays in (before, after))
        return deviation(before, after)

    def _shorter(self, graph: Graph) -> bool:
        return graph.size <= self.graph.size and key_of(graph) not in self._seen

    # -- the update's scale, and states

    def _unscale_update(self) -> bool:
        """Leave the update's positive factor to the learning rate."""
        scale, graph = unscaled(self.graph, self._context)
        if scale == 1.0 or not self._shorter(graph):
            return False
        before, after = self.graph.update, graph.update
        error = deviation(self.values.of(before), [scale * a for a in self.values.of(after)])
        if error > TOLERANCE:
            return False
        why = "the update's positive factor belongs to the learning rate"
        shown = repr(before), repr(after)
        step = Step(self.label, "scale", "c u -> u", why, *shown, error, factor=scale)
        self._accept(graph, step, ("scale", self._context.order(before)[1]))
        return True

    def _rewrite_states(self) -> bool:
        for proposal in propose(self.graph, self.terms, self.values, self._context.order):
            if (proposal.identity, "states") not in self.banned:
                scale, graph = settled(proposal.graph, self.terms)
                if self._shorter(graph) and self._adopt(proposal, "states", graph, scale):
                    return True
        return False

    def _adopt(self, proposal: Proposal, stage: str, graph: Graph, scale: float = 1.0) -> bool:
        """Accept a change of the whole rule if its updates are what they were."""
        values = run(graph, self.data)
        factor = self.factor * scale
        error = deviation(self.original, [factor * a for a in values.of(graph.update)])
        before, after = (str(write(g, self.rule.name)) for g in (self.graph, graph))
        text = proposal.identity, proposal.licence
        step = Step(self.label, stage, *text, before, after, error, factor=scale)
        if error > TOLERANCE:
            self._reject(step)
            self._seen.add(key_of(graph))
            return False
        self._accept(graph, step, (proposal.identity, stage), values)
        return True

    def consult(self, algebra: Algebra) -> bool:
        """Ask sympy about the elementwise parts; return whether that helped."""
        for region in regions(self.graph, self._context.bounds):
            for tree in algebra.suggest(region.tree, region.signs):
                value = region.build(self.terms, tree)
                if value is None or value is region.root:
                    continue
                new = substitute(self.graph, self.terms, {region.root: value})
                if new is None:
                    continue
                scale, graph = settled(new, self.terms)
                identity = f"{region.root!r} -> {value!r}"
                proposal = Proposal(identity, "algebra of real numbers, by sympy", graph)
                if (identity, "sympy") in self.banned or graph.size >= self.graph.size:
                    continue
                if self._adopt(proposal, "sympy", graph, scale):
                    return True
        return False

    # -- bookkeeping

    def _accept(self, graph: Graph, step: Step, cause: Cause, values: Values | None = None) -> None:
        self._seen.add(key_of(self.graph))
        self.graph = graph
        self.factor *= step.factor
        self.values = self.values if values is None else values
        self._context = self._fresh_context()
        self.steps.append(replace(step, program=str(write(graph, self.rule.name))))
        self.history.append(_Snapshot(graph, self.factor, cause, len(self.steps)))

    def _reject(self, step: Step) -> None:
        rejected = replace(step, accepted=False)
        if rejected not in self.steps:
            self.steps.append(rejected)

    def _record(self, stage: str, identity: str, licence: str) -> None:
        before, after = str(self.rule), str(write(self.graph, self.rule.name))
        step = Step(self.label, stage, identity, licence, before, after, 0.0, program=after)
        self.steps.append(step)

    def _fresh_context(self) -> Context:
        bounds = bounds_of(self.graph)
        return Context(self.terms, self.graph, bounds, canonical_order(self.graph))

    def audit(self) -> tuple[Cause | None, float]:
        """Run the result against the original; return the step at fault, if any, and the error.

        They have to agree in float32 too, late and at small gradients.
        """

        def error(snapshot: _Snapshot) -> float:
            update = run(snapshot.graph, self.data).of(snapshot.graph.update)
            found = deviation(self.original, [snapshot.factor * a for a in update])
            late = found > TOLERANCE or agree(self.rule, self._written(snapshot.graph))
            return found if late else float("inf")

        worst = error(self.history[-1])
        if worst <= TOLERANCE:
            return None, worst
        good, bad = 0, len(self.history) - 1
        while bad - good > 1:
            middle = (good + bad) // 2
            good, bad = (
                (middle, bad) if error(self.history[middle]) <= TOLERANCE else (good, middle)
            )
        return self.history[bad].cause, worst

    def polish(self) -> None:
        """Choose between equally short forms."""
        for proposal in restyle(self.graph, self.terms):
            fits = proposal.graph.size <= self.graph.size
            if fits and self._adopt(proposal, "style", proposal.graph):
                break
        for proposal in spell_decay(self.graph, self.terms):
            if len(write(proposal.graph, "u").body) <= len(self.rule.body):
                self._adopt(proposal, "style", proposal.graph)
                break

    def finish(self) -> Rule:
        """Return the rule after the last step that leaves it no longer than the original.

        A graph can be shorter and its rule still longer, where states have to be copied.
        """
        for snapshot in reversed(self.history):
            rule = self._written(snapshot.graph)
            if len(rule.body) <= len(self.rule.body):
                undone = (
                    replace(step, accepted=False, licence="longer when written out", program="")
                    for step in self.steps[snapshot.steps :]
                )
                self.steps[snapshot.steps :] = list(undone)
                return rule
        self.steps.clear()
        return self.rule

    def _written(self, graph: Graph) -> Rule:
        """Return the graph as a rule, its states in an order that names have no part in."""
        kinds = labels(graph)
        ranked = tuple(sorted(graph.states, key=lambda item: kinds[item[0]]))
        return write(Graph(graph.update, ranked), self.rule.name)
