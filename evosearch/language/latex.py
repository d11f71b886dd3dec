"""A rule as equations between one step and the next, in sympy and LaTeX.

A state that a rule changes appears with its old and its new value: `m` and `m_new`, in LaTeX
$m_{t-1}$ and $m_t$. Equations are for reading; see `primitives.symbolic` for what they leave out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from evosearch.language.rule import Argument, Rule
from primitives.table import OPS

__all__ = ["DEEPEST", "Equation", "equations", "landing", "tidied"]


DEEPEST: Final = 25
"""Expressions that nest deeper are cut: nobody reads them, and sympy recurses."""


@dataclass(frozen=True)
class Equation:
    """What one quantity of the next step is."""

    name: str
    """A state with its new value, or the update."""
    expression: Any
    """A sympy expression in the gradient g, the parameter w and the states."""
    latex: str
    """The whole equation."""

    def __str__(self) -> str:
        return f"{self.name} = {self.expression}"


def equations(rule: Rule) -> list[Equation]:
    """Return the equations of a rule, in the order in which they can be evaluated."""
    import sympy

    from primitives.symbolic import apply, tensor

    rule = rule.free
    states = {state.name for state in rule.states}
    last = {s.target: i for i, s in enumerate(rule.body) if s.target in states}
    values: dict[str, Any] = {name: tensor(name) for name in ("w", "g", *states)}
    typeset = {values["w"]: "w_{t-1}", values["g"]: "g_t"}
    typeset |= {values[name]: f"{_letters(name)}_{{t-1}}" for name in states}
    result: list[Equation] = []

    def value(argument: Argument) -> Any:
        return values[argument] if isinstance(argument, str) else sympy.Float(argument)

    def conclude(name: str, expression: Any, symbol: str) -> None:
        expression = tidied(expression)
        text = sympy.latex(expression, symbol_names=typeset)
        result.append(Equation(name, expression, f"{symbol} = {text}"))

    depths: dict[str, int] = {}
    for i, statement in enumerate(rule.body):
        op = OPS[statement.op]
        tensors = [value(a) for a in statement.args[: op.arity]]
        constants = [value(a) for a in statement.args[op.arity :]]
        expression = apply(op, tensors, constants)
        target = statement.target
        if last.get(target) == i:
            new, symbol = tensor(f"{target}_new"), f"{_letters(target)}_t"
            typeset[new] = symbol
            conclude(f"{target}_new", expression, symbol)
            expression = new
        depth = 1 + max((depths.get(a, 0) for a in statement.args if isinstance(a, str)), default=0)
        if depth > DEEPEST and last.get(target) != i:
            part, depth = tensor(f"{target}_{i}"), 0
            typeset[part] = rf"\mathrm{{x}}_{{{i}}}"
            conclude(part.name, expression, typeset[part])
            expression = part
        values[target] = expression
        depths[target] = 0 if last.get(target) == i else depth
    conclude("update", values[rule.update], "u_t")
    return result


def landing(keeps: str, moved: str) -> list[str]:
    """Return the equations of the weights, where the update alone would make them `moved`."""
    if not keeps:
        return [f"w_t = {moved}"]
    size = rf"\mathrm{{{keeps}}}".replace("_", r"\_")
    ratio = rf"\frac{{{size}(w_{{t-1}})}}{{{size}(\tilde{{w}}_t)}}"
    return [rf"\tilde{{w}}_t = {moved}", rf"w_t = {ratio} \, \tilde{{w}}_t"]


def _letters(name: str) -> str:
    """Return a variable's name for LaTeX."""
    return name if len(name) == 1 else rf"\mathrm{{{name}}}".replace("_", r"\_")


def tidied(expression: Any) -> Any:
    """Return an expression whose numbers have no digits that only rounding brought."""
    import sympy

    numbers = expression.atoms(sympy.Float)
    return expression.xreplace({x: sympy.Float(f"{float(x):.10g}") for x in numbers})
