"""Rows: projections of the weights after a step, which keep their norm.

Such an op stands last: its result is of the type `step`, which a rule can only return. It is the
update as it was; the trainer moves the weights by it and then gives them back the norm that they
had. So `w / norm(w)` wanders over a sphere, and a learning rate is an angle.
"""

from __future__ import annotations

from typing import Final

from primitives.op import Cost, Law, Op, Signature

__all__ = ["FAMILIES"]

_HYPERBALL: Final = "https://arxiv.org/abs/2606.16899"


def _keeping(size: str, what: str, *, rank_free: bool = False) -> Op:
    return Op(
        name=f"keep_{size}",
        signature=Signature("ij->step"),
        torch="{0}.clone()",
        numpy=lambda x: x,
        sympy="",
        doc=f"x as the update of a step after which the weights get back {what}. Where that was "
        "0, it is as the update makes it.",
        cost=Cost("6 * m * n", "6 * m * n"),
        laws=frozenset({Law.RANK_FREE} if rank_free else ()),
        keeps=size,
        drawn=False,
        reference=_HYPERBALL,
    )


FAMILIES: dict[str, tuple[Op, ...]] = {
    "Norm control after the step": (
        _keeping("norm", "the Frobenius norm that they had", rank_free=True),
        _keeping("row_norm", "the norm that each row had"),
        _keeping("col_norm", "the norm that each column had"),
    )
}
