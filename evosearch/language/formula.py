"""A program in the forms that people write: pseudo-code, and the recurrence in LaTeX."""

from __future__ import annotations

from collections import Counter
from typing import Final

from evosearch.language.naming import named_rule
from evosearch.language.rule import Argument, Rule, RuleSet, Statement

__all__ = ["latex", "pseudo_code"]

_SUM, _PRODUCT, _POWER, _ATOM = range(4)
"""How tightly an expression binds."""

_FORMS: Final[dict[str, tuple[str, int, tuple[int, ...]]]] = {
    "add": ("{0} + {1}", _SUM, (_SUM, _SUM)),
    "sub": ("{0} - {1}", _SUM, (_SUM, _PRODUCT)),
    "mul": ("{0} · {1}", _PRODUCT, (_PRODUCT, _PRODUCT)),
    "div": ("{0} / {1}", _PRODUCT, (_PRODUCT, _POWER)),
    "neg": ("-{0}", _PRODUCT, (_POWER,)),
    "square": ("{0}²", _POWER, (_ATOM,)),
    "cube": ("{0}³", _POWER, (_ATOM,)),
    "transpose": ("{0}ᵀ", _POWER, (_ATOM,)),
    "matmul": ("{0} @ {1}", _PRODUCT, (_PRODUCT, _POWER)),
    "abs": ("|{0}|", _ATOM, (_SUM,)),
    "sqrt": ("√({0})", _ATOM, (_SUM,)),
    "rsqrt": ("1 / √({0})", _PRODUCT, (_SUM,)),
    "norm": ("‖{0}‖", _ATOM, (_SUM,)),
    "debias": ("{0} / (1 - {1}^t)", _PRODUCT, (_PRODUCT, _POWER)),
    "step": ("t", _ATOM, ()),
}
"""Op to its text, how tightly that binds, and how tightly its operands must; the rest are calls."""

_WIDTH: Final = 60
"""Longest expression that is still written inside another one."""


def pseudo_code(rules: RuleSet) -> str:
    """Return a program as a person would note it down on a board."""
    if rules.rest is None:
        return _steps(named_rule(rules.matrix))
    matrix, rest = (_steps(named_rule(rule)) for rule in (rules.matrix, rules.rest))
    return f"for hidden matrices:\n{_indented(matrix)}for everything else:\n{_indented(rest)}"


def latex(rules: RuleSet) -> str:
    """Return the recurrence of states, update and parameter, one aligned block a rule."""
    both = rules.rules
    return "\n".join(_aligned(named_rule(rule)) for rule in both)


def _aligned(rule: Rule) -> str:
    from evosearch.language.latex import equations, landing

    last = landing(rule.keeps, r"w_{t-1} - \eta_t u_t")
    lines = [*(equation.latex for equation in equations(rule)), *last]
    lines = [line.replace(" = ", " &= ", 1) for line in lines]
    body = " \\\\\n".join(f"  {line}" for line in lines)
    return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"


def _steps(rule: Rule) -> str:
    lines = [f"{', '.join(s.name for s in rule.states)} ← 0"] if rule.states else []
    lines += ["for t = 1, 2, ..., with gradient g:", *(f"    {line}" for line in _body(rule))]
    return "\n".join(lines) + "\n"


def _body(rule: Rule) -> list[str]:
    """Return the assignments of one step, values that are used once written in place."""
    keeps, rule = rule.keeps, rule.free
    states = {state.name for state in rule.states}
    uses = Counter(name for s in rule.body for name in s.reads) + Counter([rule.update])
    texts: dict[str, tuple[str, int]] = {}
    lines: list[str] = []
    for i, statement in enumerate(rule.body):
        target = statement.target
        text = _expression(statement, texts)
        inline = uses[target] == 1 and target not in states and len(text[0]) <= _WIDTH
        if inline and not _stale(rule, i):
            texts[target] = text
        else:
            lines.append(f"{target} ← {text[0]}")
            texts.pop(target, None)
    moved = f"w - η {_bound(rule.update, texts, _POWER)}"
    if not keeps:
        return [*lines, f"w ← {moved}"]
    size = [_FORMS[keeps][0].format(x) if keeps in _FORMS else f"{keeps}({x})" for x in ("w", "w'")]
    return [*lines, f"w' ← {moved}", f"w ← w' · {size[0]} / {size[1]}"]


def _stale(rule: Rule, index: int) -> bool:
    """Whether something that a value is made of is overwritten before the value is used."""
    sources = _sources(rule, index)
    name = rule.body[index].target
    for later in rule.body[index + 1 :]:
        if name in later.reads:
            return False
        if later.target in sources:
            return True
    return False


def _sources(rule: Rule, index: int) -> set[str]:
    """Return all variables that a value may come to be written with."""
    found = set(rule.body[index].reads)
    for earlier in reversed(rule.body[:index]):
        if earlier.target in found:
            found |= set(earlier.reads)
    return found


def _expression(statement: Statement, texts: dict[str, tuple[str, int]]) -> tuple[str, int]:
    args = statement.args
    match statement.op:
        case "lerp":
            x, y, rate = args
            assert isinstance(rate, float)
            return _weighted(x, 1.0 - rate, y, rate, texts)
        case "heavy_ball":
            x, y, decay = args
            assert isinstance(decay, float)
            return _weighted(x, decay, y, 1.0, texts)
        case "mul" if isinstance(args[1], float):
            return f"{_number(args[1])} {_bound(args[0], texts, _POWER)}", _PRODUCT
    form = _FORMS.get(statement.op)
    if form is None:
        words = [_bound(a, texts, _SUM) for a in args]
        return f"{statement.op}({', '.join(words)})", _ATOM
    text, binding, needed = form
    constants = (_ATOM,) * (len(args) - len(needed))
    words = [_bound(a, texts, n) for a, n in zip(args, (*needed, *constants), strict=True)]
    return text.format(*words), binding


def _weighted(
    x: Argument, a: float, y: Argument, b: float, texts: dict[str, tuple[str, int]]
) -> tuple[str, int]:
    first = _term(x, abs(a), texts)
    second = _term(y, abs(b), texts)
    lead = "-" if a < 0.0 else ""
    return f"{lead}{first} {'-' if b < 0.0 else '+'} {second}", _SUM


def _term(x: Argument, weight: float, texts: dict[str, tuple[str, int]]) -> str:
    if weight == 1.0:
        return _bound(x, texts, _PRODUCT)
    return f"{_number(weight)} {_bound(x, texts, _POWER)}"


def _bound(argument: Argument, texts: dict[str, tuple[str, int]], n: int) -> str:
    """Return an operand's text, in parentheses where it binds less tightly than n."""
    if not isinstance(argument, str):
        return _number(argument)
    text, binding = texts.get(argument, (argument, _ATOM))
    return text if binding >= n else f"({text})"


def _number(value: float) -> str:
    return f"{value:.6g}"


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())
