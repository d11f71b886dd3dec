"""The reference page of the vocabulary, made from the table.

python -m primitives.reference      writes primitives/reference.md anew
"""

from __future__ import annotations

from math import isinf
from pathlib import Path
from typing import Any, Final

from primitives.op import Law, Op
from primitives.table import FAMILIES, OPS

__all__ = ["PAGE", "describe", "render", "usage"]

PAGE: Final = Path(__file__).with_name("reference.md")
"""The generated page; a test checks that it is up to date."""

_INTRODUCTION: Final = """\
# Primitives

The ops that a program may use: {count} rows of one table. This page is generated from it by
`python -m primitives.reference`.

A value is an m x n matrix, seen per parameter; its shape is written like einsum: `ij->i1` maps a
matrix to one number for each row, `*` stands for shapes that broadcast, and there a Python number
may take a tensor's place. Constants come last, as literals, each of a kind:
{kinds}.

A law is exact in real arithmetic unless marked with ~. An op without a sympy form is a function
that knows its exact laws. Cost is floating-point operations for an m x n first argument (k: columns
of the last one).
"""


def usage(op: Op) -> str:
    """Return how an op is written in program text, for instance ``lerp(x, y, RATE)``."""
    names = [*"xyz"[: op.arity], *(kind.name for kind in op.constants)]
    call = f"{op.name}({', '.join(names)})"
    return f"{call}, x {op.infix} y" if op.infix and op.arity == 2 else call


def describe(op: Op) -> dict[str, Any]:
    """Return a row as plain data, for JSON and for the page."""
    low, high = op.domain
    family = next(title for title, ops in FAMILIES.items() if op in ops)
    return {
        "name": op.name,
        "family": family,
        "usage": usage(op),
        "doc": op.doc,
        "signature": op.signature.text,
        "constants": [kind.name for kind in op.constants],
        "domain": [None if isinf(low) else low, None if isinf(high) else high],
        "torch": op.torch,
        "sympy": op.sympy,
        "laws": [law.name for law in Law if law in op.exact_laws],
        "inexact_laws": [law.name for law in Law if law in op.inexact],
        "degree": op.homogeneity,
        "exceptions": op.exceptions,
        "flops": op.cost.flops,
        "entries": op.cost.entries,
        "reference": op.reference,
    }


def render() -> str:
    """Return the whole page as Markdown."""
    kinds = ", ".join(sorted({f"`{kind.name}`" for op in OPS.values() for kind in op.constants}))
    parts = [_INTRODUCTION.format(count=len(OPS), kinds=kinds)]
    for title, ops in FAMILIES.items():
        parts.append(f"## {title}\n\n" + "\n".join(_entry(op) for op in ops))
    return "\n".join(parts)


def _entry(op: Op) -> str:
    row = describe(op)
    laws = [word.lower().replace("_", " ") for word in row["laws"]]
    laws += ["~" + word.lower().replace("_", " ") for word in row["inexact_laws"]]
    if op.degree is not None:
        laws.append(f"degree {op.degree:.4g}")
    lines = [
        f"### `{op.name}`\n",
        f"`{row['usage']}` with shapes `{row['signature']}`. {op.doc}\n",
        f"- torch: `{op.torch}`",
        f"- sympy: `{op.sympy}`" if op.sympy else "- sympy: opaque",
        f"- laws: {', '.join(laws) or 'none'}",
        f"- cost: `{op.cost.flops}`",
    ]
    if op.exceptions:
        lines.append(f"- exceptions: {op.exceptions}")
    lines.append(f"- reference: <{op.reference}>")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    print(PAGE)
