"""What many rows of the table have in common: shape rules, elementwise columns, sources."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from primitives.op import Cost, Law, Op, Signature

__all__ = ["COLUMNWISE", "ROWWISE", "SMALLEST", "TO_SCALAR", "elementwise", "manual"]

TO_SCALAR: Final = Signature("ij->11")
ROWWISE: Final = Signature("ij->i1")
COLUMNWISE: Final = Signature("ij->1j")

SMALLEST: Final = 2.2250738585072014e-308
"""The smallest normal float64: the closed end of a domain that excludes 0."""

_SHAPES = {1: "ij->ij", 2: "ij,ij->ij"}
_BROADCAST = {2: "*,*->*", 3: "*,*,*->*"}


def elementwise(
    name: str,
    torch: str,
    numpy: Callable[..., Any],
    sympy: str,
    doc: str,
    *,
    arity: int = 1,
    broadcast: bool = False,
    flops: int = 1,
    laws: Iterable[Law] = (),
    **columns: Any,
) -> Op:
    """Return the row of an elementwise op; `flops` is the work per entry."""
    return Op(
        name=name,
        signature=Signature((_BROADCAST if broadcast else _SHAPES)[arity]),
        torch=torch,
        numpy=numpy,
        sympy=sympy,
        doc=doc,
        cost=Cost("m * n" if flops == 1 else f"{flops} * m * n", f"{arity + 1} * m * n"),
        laws=frozenset({Law.ELEMENTWISE, Law.RANK_FREE, *laws}),
        **columns,
    )


def manual(function: str) -> str:
    """Return the address of a torch function's documentation."""
    return f"https://docs.pytorch.org/docs/stable/generated/torch.{function}.html"
