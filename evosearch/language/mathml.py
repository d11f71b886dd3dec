"""A program as typeset mathematics: MathML, which browsers and notebooks draw without fonts.

Each equation is one row; where a line is too narrow it breaks between the terms of a sum, because
the terms are elements of their own.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape
from typing import Final

from evosearch.language.liveness import strip
from evosearch.language.naming import named_rule
from evosearch.language.rule import Rule, RuleSet

__all__ = ["mathml"]

_LONGEST: Final = 1200
"""Characters of LaTeX in one equation, beyond which it is shown as plain text."""
_STEP: Final = r"w_t = w_{t-1} - \eta_t u_t"


@lru_cache(maxsize=256)
def mathml(rules: RuleSet, step: bool = True) -> str:
    """Return a program's equations as an HTML element.

    Args:
        rules: The program; statements that change nothing are left out.
        step: Whether the step of the parameter is one of the equations.
    """
    parts = [_equations(named_rule(strip(rule)), step) for rule in rules.rules]
    if rules.rest is not None:
        names = ("hidden matrices", "everything else")
        titled = zip(names, parts, strict=True)
        parts = [f"<figcaption>{name}</figcaption>{part}" for name, part in titled]
    return f'<figure class="formula">{"".join(parts)}</figure>'


def _equations(rule: Rule, step: bool) -> str:
    from evosearch.language.latex import equations

    lines = [(equation.latex, str(equation)) for equation in equations(rule)]
    lines += [(_STEP, "")] if step else []
    return "".join(f"<div>{_row(latex, plain)}</div>" for latex, plain in lines)


def _row(latex: str, plain: str) -> str:
    left, _, right = latex.partition(" = ")
    first, *others = _terms(right)
    try:
        pieces = [] if len(latex) > _LONGEST else list(map(_math, [f"{left} = {first}", *others]))
    except Exception:  # a form that the converter does not know is still worth reading
        pieces = []
    return "".join(pieces) or f"<code>{escape(plain)}</code>"


def _terms(latex: str) -> list[str]:
    """Split a sum between its terms, outside of all braces and brackets."""
    depth, start, terms = 0, 0, list[str]()
    for match in re.finditer(r"\\begin|\\end|\\left(?!arrow)|\\right(?!arrow)|[{}]| [+-] ", latex):
        token = match[0]
        if token in ("{", "\\left", "\\begin"):
            depth += 1
        elif token in ("}", "\\right", "\\end"):
            depth -= 1
        elif depth == 0:
            terms.append(latex[start : match.start()])
            start = match.start() + 1
    return [*terms, latex[start:]]


def _math(latex: str) -> str:
    from latex2mathml.converter import convert

    latex = re.sub(r"\\\\(?=\S)", r"\\\\ ", latex)  # a line of cases, apart from its first command
    latex = re.sub(r"\\operatorname\{((?:[^{}]|\{[^{}]*\})*)\}", _upright, latex)
    text = convert(latex.replace(r"1.0 \cdot ", ""))
    text = re.sub(r"^<math[^>]*>", '<math displaystyle="true">', text)
    return re.sub(r"^(<math[^>]*><mrow>)<mo>(?=&#x0002B;|&#x02212;)", r'\1<mo form="infix">', text)


def _upright(match: re.Match[str]) -> str:
    name = match[1].replace(r"\,", " ").replace(r"\_", "_")
    return rf"\text{{{name}}}"
