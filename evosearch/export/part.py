"""One rule of an exported optimizer: its arguments, its function and the lines that call it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from evosearch.export.formula import formula
from evosearch.export.hyper import Hyper, NamedRule, name_constants
from evosearch.export.lists import write_rule
from evosearch.export.rule_code import RuleCode
from evosearch.language.rule import INPUTS, Rule, State, Statement
from primitives.shape import FULL

__all__ = ["WIDTH", "Option", "Part", "entry", "name_rule", "renamed", "wrapped"]

WIDTH: Final = 88
"""Lines are no longer than this, so that formatters of 88 and of 100 columns agree on them."""

_POSITIONAL: Final = 5
"""More arguments than this are passed by name."""


@dataclass(frozen=True)
class Option:
    """An argument of the optimizer's constructor."""

    name: str
    annotation: str
    default: str
    doc: str = ""
    check: str = ""
    """Bounds, as arguments of ``_check``; empty: not checked."""


@dataclass(frozen=True)
class Part:
    """One rule in the file."""

    named: NamedRule
    function: str
    """The name of the function that computes it."""
    lr: float
    prefix: str = ""
    """What the names of its arguments begin with."""

    @cached_property
    def code(self) -> RuleCode:
        """The body of its function."""
        return write_rule(self.named)

    @property
    def counts(self) -> bool:
        """Whether it has counters of steps: for ``t``, or in order to have a state at all."""
        return "t" in self.code.parameters or not self.named.flow.states

    @property
    def orthogonalizes(self) -> bool:
        """Whether the precision of Newton-Schulz is an argument."""
        return "ns_dtype" in self.code.parameters

    @property
    def decay(self) -> str:
        """The name of its weight decay."""
        return f"{self.prefix}wd" if self.prefix else "weight_decay"

    @cached_property
    def options(self) -> list[Option]:
        """Its learning rate and hyperparameters."""
        prefix, decays = self.prefix, self.named.decays
        kind = "float" if prefix else "float | Tensor"
        doc = "learning rate, a number or a tensor of one element, >= 0."
        options = [Option(f"{prefix}lr", kind, repr(self.lr), doc, "0.0")]
        if decays:
            kind = "tuple[float, float]" if len(decays) == 2 else "tuple[float, ...]"
            values = f"({', '.join(repr(h.value) for h in decays)})"
            doc = "decay rates of the running averages per step, in [0, 1)."
            options.append(Option(f"{prefix}betas", kind, values, doc, f"0.0, 1.0, {len(decays)}"))
        for hyper in self.named.hypers:
            if hyper not in decays:
                kind = "int" if isinstance(hyper.value, int) else "float"
                name, value = prefix + hyper.name, repr(hyper.value)
                options.append(Option(name, kind, value, _described(hyper), _bounds(hyper)))
        if self.orthogonalizes:
            doc = "dtype of Newton-Schulz, torch.bfloat16 say; by default the parameter's."
            options.append(Option(f"{prefix}ns_dtype", "torch.dtype | None", "None", doc))
        value = repr(float(self.named.weight_decay))
        doc = "decoupled weight decay, per step and unit of lr, >= 0."
        return [*options, Option(self.decay, "float", value, doc, "0.0")]

    @property
    def _tensors(self) -> list[str]:
        """The parameters of its function that are lists of tensors, or ``t``."""
        hypers = {h.name for h in self.named.hypers} | {"ns_dtype"}
        return [name for name in self.code.parameters if name not in hypers]

    def source(self) -> list[str]:
        """Return the function that computes the rule."""
        stateful = "; the states are advanced in place" if self.named.flow.states else ""
        what = "numerators and denominators of the updates" if self.code.quotient else "the updates"
        lines = [f'"""Return {what}{stateful}."""']
        decays = [h.name for h in self.named.decays]
        if decays:
            lines.append(f'{", ".join(decays)} = group["{self.prefix}betas"]')
        for name in self.code.parameters:
            if name not in decays and name not in self._tensors:
                lines.append(f'{name} = group["{self.prefix}{name}"]')
        lines += self.code.lines
        names = self._parameters
        starred = [*names[:_POSITIONAL], "*", *names[_POSITIONAL:]]
        head = wrapped(
            f"def {self.function}(", names if len(names) <= _POSITIONAL else starred, "):", 0
        )
        return [*head, *(f"    {line}" for line in lines)]

    @property
    def _parameters(self) -> list[str]:
        group = ["group"] if len(self._tensors) < len(self.code.parameters) else []
        return [*self._tensors, *group]

    def formula(self) -> list[str]:
        """Return the arithmetic of a step."""
        last = f"w = w - {self.prefix}lr * (u + {self.decay} * w)"
        return [*formula(self.named), last]

    def advance(self, indent: int) -> list[str]:
        """Return the lines that update one batch of parameters, for a place so far to the right."""
        stacked, lines = self.code.stacked, []
        if stacked:
            if "w" in self.code.parameters:
                lines.append("w = [_matrix(p) for p in params]")
            lines.append("g = [_matrix(x) for x in g]")
        flow = self.named.flow
        for (start, _), state in zip(flow.states, flow.rule.states, strict=True):
            value = f'self.state[p]["{state.name}"]'
            if stacked and state.shape == FULL:
                value = f"_matrix({value})"
            lines.append(f"{self.code.states[start]} = [{value} for p in params]")
        if self.counts:
            target = "t = " if "t" in self.code.parameters else ""
            why = "" if target else "  # so that there is a state to save"
            lines.append(f"{target}self._count(params, group){why}")
        names = self._parameters
        arguments = [*names[:_POSITIONAL], *(f"{n}={n}" for n in names[_POSITIONAL:])]
        if not stacked and names[0] == "w":
            arguments[0] = "params"
        results = "u, d" if self.code.quotient else "u"
        lines += wrapped(f"{results} = {self.function}(", arguments, ")", indent)
        if stacked:
            lines.append("u = [_like(x, p) for x, p in zip(u, params, strict=True)]")
        decay, rate = f'group["{self.decay}"]', 'group["lr"]'
        if self.prefix:
            lines.append('lr = group["lr"] * group["lr_ratio"]')
            rate = "lr"
        if not self.named.weight_decay:
            divisor = ["d"] if self.code.quotient else []
            return [
                *lines,
                *wrapped("_descend(", ["params", "u", rate, decay, *divisor], ")", indent),
            ]
        owned = "torch._foreach_add_(" if self.code.fresh else "u = torch._foreach_add("
        return [*lines, f"{owned}u, params, alpha={decay})", f"_descend(params, u, {rate})"]

    def zeros(self) -> list[str]:
        """Return the lines that make the states of one parameter."""
        lines = ['state["step"] = _counter(0.0, p, group)'] if self.counts else []
        states = self.named.flow.rule.states
        if any(state.shape != FULL for state in states):
            lines.append("rows, cols = _matrix(p).shape")
        sizes = {"m": "rows", "n": "cols", "1": "1"}
        for state in states:
            value = "torch.zeros_like(p)"
            if state.shape != FULL:
                value = f"p.new_zeros({sizes[state.shape.rows]}, {sizes[state.shape.cols]})"
            elif self.code.stacked:  # contiguous, so that its matrix is a view
                value = "p.new_zeros(p.shape)"
            lines.append(f'state["{state.name}"] = {value}')
        return lines


def name_rule(rule: Rule) -> NamedRule:
    """Name a stripped rule's constants; and its variables anew, where they make lines too long."""
    named = name_constants(rule)
    lines = [*write_rule(named).lines, *formula(named), *(7 * s.name for s in rule.states)]
    short = all(len(line) <= WIDTH - 8 for line in lines)
    return named if short else name_constants(renamed(rule))


def renamed(rule: Rule) -> Rule:
    """Return the rule with states s1, s2, ... and variables x1, x2, ..., each assigned once."""
    states = {state.name: f"s{i}" for i, state in enumerate(rule.states, start=1)}
    last = {s.target: i for i, s in enumerate(rule.body) if s.target in states}
    current = {name: name for name in INPUTS} | states
    body: list[Statement] = []
    for i, statement in enumerate(rule.body):
        args = tuple(current[a] if isinstance(a, str) else a for a in statement.args)
        ends = last.get(statement.target) == i
        name = states[statement.target] if ends else f"x{i + 1}"
        current[statement.target] = name
        body.append(Statement(name, statement.op, args))
    shapes = tuple(State(states[state.name], state.shape) for state in rule.states)
    return Rule(rule.name, shapes, tuple(body), current[rule.update])


def entry(name: str, doc: str) -> list[str]:
    """Return the lines that document an argument."""
    lines = textwrap.wrap(f"{name}: {doc}", 80, subsequent_indent="    ")
    return [f"    {line}" for line in lines]


def _described(hyper: Hyper) -> str:
    """Return what a hyperparameter is, and its range."""
    if hyper.high is not None:
        return f"{hyper.doc}, in [{hyper.low:g}, {hyper.high:g})."
    return f"{hyper.doc}." if hyper.low is None else f"{hyper.doc}, >= {hyper.low:g}."


def _bounds(hyper: Hyper) -> str:
    if hyper.high is not None:
        return f"{hyper.low!r}, {hyper.high!r}"
    return 'float("-inf")' if hyper.low is None else repr(hyper.low)


def wrapped(start: str, items: list[str], end: str, indent: int) -> list[str]:
    """Return a call in one line if it fits, else with one item a line."""
    line = f"{start}{', '.join(items)}{end}"
    if indent + len(line) <= WIDTH:
        return [line]
    return [start, *(f"    {item}," for item in items), end]
