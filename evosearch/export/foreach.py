"""Ops as ``torch._foreach_`` functions, which torch runs as few kernels over all tensors of a list.

Ops that are not here have no such functions; they are called once a tensor.
"""

from __future__ import annotations

from typing import Final

__all__ = ["CHAINS"]

CHAINS: Final[dict[str, tuple[str, ...]]] = {
    "add": ("add {1}",),
    "sub": ("sub {1}",),
    "mul": ("mul {1}",),
    "div": ("div {1}",),
    "neg": ("neg",),
    "abs": ("abs",),
    "sign": ("sign",),
    "minimum": ("clamp_max {1}",),
    "maximum": ("clamp_min {1}",),
    "clip": ("clamp_min -{1}", "clamp_max {1}"),
    "square": ("mul {0}",),
    "cube": ("mul {0}", "mul {0}"),
    "sqrt": ("sqrt",),
    "exp": ("exp",),
    "log": ("log",),
    "log1p": ("log1p",),
    "sin": ("sin",),
    "cos": ("cos",),
    "tan": ("tan",),
    "arcsin": ("asin",),
    "arccos": ("acos",),
    "arctan": ("atan",),
    "tanh": ("tanh",),
    "lerp": ("mul {rest}", "add {1}, alpha={2}"),
    "heavy_ball": ("mul {2}", "add {1}"),
    "debias": ("div [1 - {1}**x for x in t]",),
}
"""Op to ``torch._foreach_`` functions, applied one after the other to the first operand."""
