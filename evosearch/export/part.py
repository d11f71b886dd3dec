"""One rule of an exported optimizer: its options and the function that moves parameters by it."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from evosearch.export.formula import formula
from evosearch.export.hyper import Hyper, NamedRule, Scale, name_constants
from evosearch.export.lists import write_rule
from evosearch.export.rule_code import RuleCode
from evosearch.export.torch_template import DESCENT
from evosearch.language.rule import INPUTS, Rule, State, Statement
from primitives.shape import FULL

__all__ = [
    "WIDTH",
    "Option",
    "Part",
    "descent",
    "entry",
    "landing",
    "name_rule",
    "renamed",
    "wrapped",
]

WIDTH: Final = 88
"""Lines are no longer than this, so that formatters of 88 and of 100 columns agree on them."""


@dataclass(frozen=True)
class Option:
    """An option of a rule."""

    name: str
    annotation: str
    default: str
    doc: str = ""
    check: str = ""
    """The least value, what it must stay below and how many there are; empty: not a number."""


@dataclass(frozen=True)
class Part:
    """One rule in the file."""

    named: NamedRule
    function: str
    """The name of the function that moves parameters by it."""
    lr: float
    """Its default learning rate."""
    adjust: str | None = None
    """The default of ``adjust_lr_fn``, where there is a choice."""
    prefix: str = ""
    """What the constructor puts before the names of its options."""

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
        """Whether the precision of Newton-Schulz is an option."""
        return "ns_dtype" in self.code.parameters

    @property
    def states(self) -> list[str]:
        """The names of a parameter's states."""
        names = [state.name for state in self.named.flow.rule.states]
        return ["step", *names] if self.counts else names

    def called(self, name: str) -> str:
        """Return what the constructor calls an option."""
        if not self.prefix:
            return name
        return self.prefix + ("wd" if name == "weight_decay" else name)

    @cached_property
    def own(self) -> list[Option]:
        """Its hyperparameters besides learning rate and weight decay."""
        decays = self.named.decays
        options: list[Option] = []
        if decays:
            kind = "tuple[float, float]" if len(decays) == 2 else "tuple[float, ...]"
            values = f"({', '.join(repr(h.value) for h in decays)})"
            doc = "decay rates of the running averages per step, in [0, 1)."
            check = "0.0, 1.0, decays"
            options.append(Option(self.named.together, kind, values, doc, check))
        for hyper in self.named.hypers:
            if hyper not in decays:
                kind = "int" if isinstance(hyper.value, int) else "float"
                value, doc = repr(hyper.value), _described(hyper)
                options.append(Option(hyper.name, kind, value, doc, _bounds(hyper)))
        return options

    @property
    def choices(self) -> list[Option]:
        """Its options that are no numbers."""
        options: list[Option] = []
        if self.orthogonalizes:
            doc = "dtype of Newton-Schulz, such as torch.bfloat16; the parameter's by default."
            options.append(Option("ns_dtype", "torch.dtype | None", "None", doc))
        if self.named.scale is not Scale.OTHER:
            default = "None" if self.adjust is None else f'"{self.adjust}"'
            doc = (
                'as in torch.optim.Muon: "match_rms_adamw" gives the updates the size of '
                'AdamW\'s, whose learning rates are then right; None or "original" leaves them '
                "as the formula has them."
            )
            options.append(Option("adjust_lr_fn", "str | None", default, doc))
        return options

    @property
    def _tensors(self) -> list[str]:
        """The parameters of its code that are lists of tensors, or ``t``."""
        hypers = {h.name for h in self.named.hypers} | {"ns_dtype"}
        return [name for name in self.code.parameters if name not in hypers]

    def source(self, *, alone: bool) -> list[str]:
        """Return the function that moves parameters by the rule, alone in its file or not."""
        stacked, flow = self.code.stacked, self.named.flow
        lines = ['"""Move parameters; the states are advanced in place."""']
        decays = [h.name for h in self.named.decays]
        if decays:
            lines.append(f'{", ".join(decays)} = group["{self.named.together}"]')
        for name in self.code.parameters:
            if name not in decays and name not in self._tensors:
                lines.append(f'{name} = group["{name}"]')
        if "w" in self.code.parameters:
            lines.append("w = [_matrix(p, group) for p in params]" if stacked else "w = params")
        if stacked:
            lines.append("g = [_matrix(x, group) for x in g]")
        for (start, _), state in zip(flow.states, flow.rule.states, strict=True):
            value = f's["{state.name}"]'
            if stacked and state.shape == FULL:
                value = f"_view({value}, group)"
            lines.append(f"{self.code.states[start]} = [{value} for s in states]")
        if self.counts:
            lines += _counted(read="t" in self.code.parameters)
        *body, last = self.code.lines
        lines += body
        update, _, divisor = last.removeprefix("return ").partition(", ")
        if stacked:
            lines += self._scaled(update)
            update = "u"
        size = f"_{self.named.keeps}" if self.named.keeps else ""
        if size:
            lines.append(f"sizes = [{size}(p, group) for p in params]")
        arguments = ", ".join(x for x in ("params", update, "group", divisor) if x)
        lines += descent(update, divisor) if alone else [f"_descend({arguments})"]
        if size:
            lines.append(f"_keep(params, sizes, {size}, group)")
        head = wrapped(f"def {self.function}(", ["params", "g", "states", "group"], "):", 0)
        return [*head, *(f"    {line}" for line in lines)]

    def _scaled(self, update: str) -> list[str]:
        """Return the lines that give the update its size and the parameters' shape."""
        lines = []
        if self.named.scale is not Scale.OTHER:
            lines = [f"{update} *= _scale(group, *{update}.shape[-2:])"]
        return [*lines, f"u = [_like(x, p) for x, p in zip({update}, params, strict=True)]"]

    def formula(self) -> list[str]:
        """Return the arithmetic of a step."""
        scale = "scale * " if self.named.scale is not Scale.OTHER else ""
        moved = f"w - lr * ({scale}u + weight_decay * w)"
        return [*formula(self.named), *landing(self.named, moved)]

    def zeros(self) -> list[str]:
        """Return the lines that make the states of one parameter."""
        lines = []
        if self.counts:  # on the CPU, unless a CUDA graph has to advance it
            lines.append('device = p.device if group["capturable"] else "cpu"')
            lines.append('state["step"] = torch.zeros((), device=device)')
        states = self.named.flow.rule.states
        small = {side for state in states if state.shape != FULL for side in state.shape}
        if small:
            rows, cols = "rows" if "m" in small else "_", "cols" if "n" in small else "_"
            lines.append(f"*stack, {rows}, {cols} = _matrix(p, group).shape")
        sizes = {"m": "rows", "n": "cols", "1": "1"}
        for state in states:
            value = "torch.zeros_like(p)"
            if state.shape != FULL:
                shape = f"{sizes[state.shape.rows]}, {sizes[state.shape.cols]}"
                value = f"p.new_zeros(*stack, {shape})"
            elif self.code.stacked:  # contiguous, so that its matrix is a view
                value = "p.new_zeros(p.shape)"
            lines.append(f'state["{state.name}"] = {value}')
        return lines


def landing(named: NamedRule, moved: str) -> list[str]:
    """Return the assignments of the weights, where the update alone would make them `moved`."""
    if not named.keeps:
        return [f"w = {moved}"]
    return [f"moved = {moved}", f"w = moved * {named.keeps}(w) / {named.keeps}(moved)"]


def name_rule(rule: Rule) -> NamedRule:
    """Name a stripped rule's constants; and its variables anew, where they make lines too long."""
    for written in (rule, renamed(rule, keep_states=True)):
        named = name_constants(written, scaled=False)
        fetched = [
            f'{s.name} = [_view(s["{s.name}"], group) for s in states]' for s in written.states
        ]
        lines = [*write_rule(named).lines, *formula(named), *fetched]
        if all(len(line) <= WIDTH - 8 for line in lines):
            return named
    return name_constants(renamed(rule), scaled=False)


def renamed(rule: Rule, *, keep_states: bool = False) -> Rule:
    """Return the rule with variables x1, x2, ..., each assigned once, and states s1, s2, ..."""
    states = {
        state.name: state.name if keep_states else f"s{i}"
        for i, state in enumerate(rule.states, start=1)
    }
    stem = "y" if any(re.fullmatch(r"x\d+", name) for name in states.values()) else "x"
    last = {s.target: i for i, s in enumerate(rule.body) if s.target in states}
    current = {name: name for name in INPUTS} | states
    body: list[Statement] = []
    for i, statement in enumerate(rule.body):
        args = tuple(current[a] if isinstance(a, str) else a for a in statement.args)
        ends = last.get(statement.target) == i
        name = states[statement.target] if ends else f"{stem}{i + 1}"
        current[statement.target] = name
        body.append(replace(statement, target=name, args=args))
    shapes = tuple(State(states[state.name], state.shape) for state in rule.states)
    return replace(rule, states=shapes, body=tuple(body), update=current[rule.update])


def entry(name: str, doc: str) -> list[str]:
    """Return the lines that document an argument."""
    lines = textwrap.wrap(f"{name}: {doc}", 80, subsequent_indent="    ")
    return [f"    {line}" for line in lines]


def descent(update: str, divisor: str) -> list[str]:
    """Return the lines that take an update, or its quotient, from the parameters."""
    lines = DESCENT.replace("$u", update).rstrip().split("\n")
    call = f"torch._foreach_add_(params, {update}, alpha="
    if divisor:
        call = f"torch._foreach_addcdiv_(params, {update}, {divisor}, value="
    rate = "-1 if isinstance(lr, Tensor) else -lr"
    if len(call) + len(rate) > WIDTH - 9:
        lines, rate = [*lines, f"rate = {rate}"], "rate"
    return [*lines, f"{call}{rate})"]


def _counted(*, read: bool) -> list[str]:
    """Return the lines that advance the counters of steps, and make them numbers if they can."""
    if not read:
        return ['torch._foreach_add_([s["step"] for s in states], 1)  # a state to save']
    return [
        't = [s["step"] for s in states]',
        "torch._foreach_add_(t, 1)",
        'if not group["capturable"] and not torch.compiler.is_compiling():',
        "    t = [x.item() for x in t]",
    ]


def _described(hyper: Hyper) -> str:
    """Return what a hyperparameter is, and its range."""
    if hyper.high is not None:
        return f"{hyper.doc}, in [{hyper.low:g}, {hyper.high:g})."
    return f"{hyper.doc}." if hyper.low is None else f"{hyper.doc}, >= {hyper.low:g}."


def _bounds(hyper: Hyper) -> str:
    low = '-float("inf")' if hyper.low is None else repr(type(hyper.value)(hyper.low))
    high = 'float("inf")' if hyper.high is None else repr(hyper.high)
    return f"{low}, {high}, 1"


def wrapped(start: str, items: list[str], end: str, indent: int) -> list[str]:
    """Return a call in one line if it fits, else with one item a line."""
    line = f"{start}{', '.join(items)}{end}"
    if indent + len(line) <= WIDTH:
        return [line]
    return [start, *(f"    {item}," for item in items), end]
