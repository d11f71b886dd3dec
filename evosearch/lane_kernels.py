"""The kernels of the op table as lanes run them: with the batched products that training uses.

An exported optimizer multiplies by torch; a lane's matrices are smaller than what torch is good at.
The kernels are the same functions, with other products under torch's names, so there is one text of
each. The two agree but for rounding.
"""

from __future__ import annotations

from functools import cache
from types import FunctionType
from typing import Any, Final

import torch

from primitives import kernels
from proxy_tasks import products

__all__ = ["lane_kernels"]


class _Torch:
    """torch, but for its batched products."""

    bmm = staticmethod(products.bmm)
    baddbmm = staticmethod(products.baddbmm)

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


_REPLACED: Final = {"bmm", "baddbmm"}


@cache
def lane_kernels() -> dict[str, Any]:
    """Return what generated source may name: torch and the kernels."""
    scope: dict[str, Any] = {**vars(kernels), "torch": torch}
    for name in kernels.__all__:
        code = getattr(kernels, name).__code__
        if _REPLACED & set(code.co_names):
            scope[name] = FunctionType(code, {**vars(kernels), "torch": _Torch()}, name)
    return scope
