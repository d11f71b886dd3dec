r"""A rule set as LaTeX: what becomes of the states and of a parameter in step t.

States carry the number of their step, $m_{t-1}$ before it and $m_t$ after it, and hyperparameters
have the letters of the literature. Formulas are sympy's; what they leave out is said in
`primitives.symbolic`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from evosearch.export.dataflow import FlowNode
from evosearch.export.hyper import NamedRule, Word, name_constants
from evosearch.export.licence import SPDX
from evosearch.language.known import rest_of
from evosearch.language.latex import DEEPEST, landing
from evosearch.language.liveness import strip
from evosearch.language.rule import Rule, RuleSet

if TYPE_CHECKING:
    import sympy

__all__ = ["export_latex"]

_GREEK: Final = ("alpha", "beta", "delta", "kappa", "rho", "sigma", "tau", "theta")
"""Not gamma, lambda and mu, which are the learning rate, the weight decay and the momentum."""
_LETTERS: Final = {letter: rf"\{letter}" for letter in _GREEK} | {
    "momentum": r"\mu",
    "eps": r"\varepsilon",
}


def export_latex(rules: RuleSet, *, name: str | None = None) -> str:
    """Return LaTeX that typesets the update, for a document that uses amsmath.

    Args:
        rules: the rule set; redundant statements are left out.
        name: what to call it in the comment at the top.
    """
    matrix, rest = strip(rules.matrix), strip(rest_of(rules))
    blocks = [f"% {SPDX}", f"% {name or rules.name}: step t, learning rate \\gamma, gradient g_t"]
    if rest == matrix.renamed(rest.name):
        blocks += _block(matrix)
    else:
        blocks += ["% hidden matrices", *_block(matrix), "% all other parameters", *_block(rest)]
    return "\n".join(blocks) + "\n"


def _block(rule: Rule) -> list[str]:
    named = name_constants(rule)
    equations = [*_equations(named), *_descent(named)]
    lines = [rf"    {equation.replace(' = ', ' &= ', 1)} \\" for equation in equations]
    hypers = [h for h in named.hypers if h.name != "ns_steps"]  # the op's name says it
    values = [f"{_letter(h.name)} = {_number(h.value)}" for h in hypers]
    if named.weight_decay:
        values.append(rf"\lambda = {_number(named.weight_decay)}")
    if values:
        lines.append(rf"    &\quad {', '.join(values)} \\")
    lines[-1] = lines[-1].removesuffix(r" \\")
    return [r"\begin{align*}", *lines, r"\end{align*}"]


def _descent(named: NamedRule) -> list[str]:
    step = r"\left(u_t + \lambda w_{t-1}\right)" if named.weight_decay else "u_t"
    return landing(named.keeps, rf"w_{{t-1}} - \gamma {step}")


def _equations(named: NamedRule) -> list[str]:
    """Return an equation for each state that changes, and for the update."""
    import sympy

    from primitives.symbolic import tensor

    flow = named.flow
    starts = {end: start for start, end in flow.states if end != start}
    values: dict[int, Any] = {n.index: tensor(n.name) for n in flow.nodes if n.op is None}
    typeset = {
        x: f"{_variable(x.name)}_{'t' if x.name == 'g' else '{t-1}'}" for x in values.values()
    }
    constants = {h.name: sympy.Symbol(h.name, positive=True) for h in named.hypers}
    typeset |= {symbol: _letter(word) for word, symbol in constants.items()}
    result: list[str] = []
    depths: dict[int, int] = {}
    for node in flow.computed:
        expression = _expression(named, node, values, constants)
        depths[node.index] = 1 + max((depths.get(x, 0) for x in node.reads), default=0)
        if depths[node.index] > DEEPEST and node.index not in starts:
            part, letter = tensor(f"part_{node.index}"), rf"x_{{{node.index}}}"
            typeset[part], depths[node.index] = letter, 0
            result.append(f"{letter} = {sympy.latex(expression, symbol_names=typeset)}")
            expression = part
        if node.index in starts:
            new, letter = tensor(f"{node.name}_new"), f"{_variable(node.name)}_t"
            typeset[new] = letter
            result.append(f"{letter} = {sympy.latex(expression, symbol_names=typeset)}")
            expression = new
        values[node.index] = expression
    update = sympy.latex(values[flow.update], symbol_names=typeset)
    return [*result, f"u_t = {update}"]


def _expression(
    named: NamedRule, node: FlowNode, values: dict[int, Any], constants: dict[str, sympy.Symbol]
) -> Any:
    from primitives.symbolic import apply

    op = node.op
    assert op is not None

    def spelled(word: Word) -> Any:
        return 1 - constants[word.name] if word.complement else constants[word.name]

    arguments = [
        values[x] if isinstance(x, int) else spelled(named.word(node, i))
        for i, x in enumerate(node.operands)
    ]
    words = [named.word(node, op.arity + i) for i in range(len(node.constants))]
    if op.name == "lerp":  # as a weighted sum, which is how it is read
        return spelled(words[0].other) * arguments[0] + spelled(words[0]) * arguments[1]
    return apply(op, arguments, [spelled(word) for word in words])


def _letter(name: str) -> str:
    """Return how a hyperparameter is typeset: ``beta1`` as a beta with an index."""
    stem, index = re.fullmatch(r"(\D+)(\d*)", name).groups()  # pyright: ignore[reportOptionalMemberAccess]
    letter = _LETTERS.get(stem, rf"\mathrm{{{stem}}}".replace("_", r"\_"))
    return f"{letter}_{{{index}}}" if index else letter


def _variable(name: str) -> str:
    return name if len(name) == 1 else rf"\mathrm{{{name}}}".replace("_", r"\_")


def _number(value: float) -> str:
    mantissa, _, exponent = f"{value:.12g}".partition("e")
    if not exponent:
        return mantissa
    power = rf"10^{{{int(exponent)}}}"
    return power if mantissa == "1" else rf"{mantissa} \cdot {power}"
