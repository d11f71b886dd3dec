"""Ops as ``torch._foreach_`` functions, which torch runs as few kernels over all tensors of a list.

Most follow from how the table writes the op in place. Ops that are not here have no such functions;
they are called once a tensor.
"""

from __future__ import annotations

import re
from typing import Final

from primitives.op import Op
from primitives.table import OPS

__all__ = ["CHAINS", "CORRECTIONS"]

CORRECTIONS: Final = "[1 - {1}**x for x in t]"
"""The divisors of a bias correction, one a tensor."""

_SPELLED: Final[dict[str, tuple[str, ...]]] = {
    "div": ("div {1}",),
    "minimum": ("clamp_max {1}",),
    "maximum": ("clamp_min {1}",),
    "clip": ("clamp_min -{1}", "clamp_max {1}"),
    "square": ("mul {0}",),
    "cube": ("mul {0}", "mul {0}"),
    "log1p": ("log1p",),
    "sin": ("sin",),
    "cos": ("cos",),
    "tan": ("tan",),
    "arcsin": ("asin",),
    "arccos": ("acos",),
    "arctan": ("atan",),
    "debias": (f"div {CORRECTIONS}",),
}
"""Ops that are not written in place in the table, or have another name for lists."""


def _calls(op: Op) -> tuple[str, ...]:
    """Return ``f {1}`` for each call ``.f_({1})`` of an op in place."""
    calls = re.findall(r"\.(\w+)_\((.*?)\)(?=\.|$)", op.inplace)
    return tuple(" ".join(call).replace("1 - {2}", "{rest}").strip() for call in calls)


CHAINS: Final = {op.name: _calls(op) for op in OPS.values() if op.inplace} | _SPELLED
"""Op to ``torch._foreach_`` functions, applied one after the other to the first operand.

``{0}``, ``{1}``, ... are as in the table, ``{rest}`` is 1 minus the weight of an average.
"""
