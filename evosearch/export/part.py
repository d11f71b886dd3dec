"""One rule of an exported optimizer: its arguments, its function and the lines that call it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from evosearch.export.formula import formula
from evosearch.export.hyper import Hyper, NamedRule
from evosearch.export.lists import RuleCode, write_rule
from primitives.shape import FULL

__all__ = ["WIDTH", "Option", "Part", "wrapped"]

WIDTH: Final = 88
"""Lines are no longer than this, so that formatters of 88 and of 100 columns agree on them."""


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
    def decay(self) -> str:
        """The name of its weight decay."""
        return f"{self.prefix}wd" if self.prefix else "weight_decay"

    @cached_property
    def options(self) -> list[Option]:
        """Its learning rate and hyperparameters."""
        prefix, decays = self.prefix, self.named.decays
        kind = "float" if prefix else "float | Tensor"
        doc = "learning rate, a number or a tensor of one element."
        options = [Option(f"{prefix}lr", kind, repr(self.lr), doc, "0.0")]
        if decays:
            kind = f"tuple[{', '.join(['float'] * len(decays))}]"
            values = f"({', '.join(repr(h.value) for h in decays)})"
            doc = "decay rates of the running averages."
            options.append(Option(f"{prefix}betas", kind, values, doc, f"0.0, 1.0, {len(decays)}"))
        for hyper in self.named.hypers:
            if hyper not in decays:
                kind = "int" if isinstance(hyper.value, int) else "float"
                name, value = prefix + hyper.name, repr(hyper.value)
                options.append(Option(name, kind, value, f"{hyper.doc}.", _bounds(hyper)))
        value = repr(float(self.named.weight_decay))
        return [*options, Option(self.decay, "float", value, "decoupled weight decay.", "0.0")]

    @property
    def parameters(self) -> list[str]:
        """The parameters of its function, where ``betas`` stands for all decay rates."""
        betas = {h.name for h in self.named.decays}
        names = ["betas" if name in betas else name for name in self.code.parameters]
        return list(dict.fromkeys(names))

    def source(self) -> list[str]:
        """Return the function that computes the rule."""
        stateful = "; the states are advanced in place" if self.named.flow.states else ""
        lines = [f'"""Return the updates{stateful}."""']
        if self.named.decays:
            lines.append(f"{', '.join(h.name for h in self.named.decays)} = betas")
        lines += self.code.lines
        names = self.parameters
        first = self._positional
        star = ["*"] if first < len(names) else []
        head = wrapped(f"def {self.function}(", [*names[:first], *star, *names[first:]], "):", 0)
        return [*head, *(f"    {line}" for line in lines)]

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
            lines.append(f"{target}self._count(params, group)")
        lines += wrapped(f"u = {self.function}(", self._arguments(), ")", indent)
        if stacked:
            lines.append("u = [x.reshape(p.shape) for x, p in zip(u, params, strict=True)]")
        rate = 'group["lr"] * group["lr_ratio"]' if self.prefix else 'group["lr"]'
        arguments = ["params", "u", rate]
        decay = f'group["{self.decay}"]'
        if not self.named.weight_decay:
            arguments.append(decay)
        elif self.code.fresh:
            lines.append(f"torch._foreach_add_(u, params, alpha={decay})")
        else:
            lines.append(f"u = torch._foreach_add(u, params, alpha={decay})")
        return [*lines, *wrapped("_descend(", arguments, ")", indent)]

    def _arguments(self) -> list[str]:
        hypers = {h.name for h in self.named.hypers} | {"betas"}
        values = {n: f'group["{self.prefix}{n}"]' if n in hypers else n for n in self.parameters}
        if "w" in values and not self.code.stacked:
            values["w"] = "params"
        first = self._positional
        names = self.parameters
        return [*(values[n] for n in names[:first]), *(f"{n}={values[n]}" for n in names[first:])]

    @property
    def _positional(self) -> int:
        """How many of the function's parameters are passed by position: tensors, up to five."""
        hypers = {h.name for h in self.named.hypers} | {"betas"}
        return min(5, sum(name not in hypers for name in self.parameters))

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
