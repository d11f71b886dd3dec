"""Batched matrix products, by the faster of the two libraries that torch has for them on a CPU.

torch multiplies float32 matrices with MKL. It also carries oneDNN, which makes its kernels for the
processor at hand and is twice as fast on some: 140 to 230 against 85 to 100 GFLOP/s on an AMD EPYC.
torch hands products over to it only where "bf16" may be used inside of a product, and oneDNN makes
use of that only on processors with units for it (AMX). Elsewhere products are float32's as before;
whether they are is tried once in a process, against float64.

Which library computes a product is decided by the sizes of one lane's matrices and never by the
number of lanes, so a lane's result does not depend on the pack it trains in.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import torch
from torch import Tensor

__all__ = ["OneDnn", "baddbmm", "bmm", "by_one", "fast"]

_LARGE: Final = 64**3
"""Multiplications of one lane's product from which oneDNN is used: each call of it costs 10 us,
which a few lanes of smaller matrices do not save. torch itself hands over no product that is
smaller than 16^3 for all lanes together, and here one lane's alone is larger.
"""
_ROUNDING: Final = 1e-6
"""The largest relative error of products in float32; with bfloat16 inside it is 1e-3."""


class OneDnn:
    """Within it torch may use oneDNN for all products of float32 matrices on a CPU."""

    _before = ""

    def __enter__(self) -> None:
        settings = _settings()
        self._before = settings.fp32_precision
        settings.fp32_precision = "bf16"

    def __exit__(self, *error: object) -> None:
        _settings().fp32_precision = self._before


def _settings() -> Any:
    """Return what torch lets be set of oneDNN's products; None in a torch that knows no such."""
    return getattr(torch.backends.mkldnn, "matmul", None)


@cache
def _exact() -> bool:
    """Whether this processor's oneDNN keeps float32 where it need not."""
    if _settings() is None or not torch.backends.mkldnn.is_available():
        return False
    random = torch.Generator().manual_seed(0)
    for shape in ((64, 64, 64), (512, 32, 96), (32, 512, 32)):
        rows, inner, columns = shape
        a = torch.randn(2, rows, inner, generator=random)
        b = torch.randn(2, inner, columns, generator=random)
        with OneDnn():
            found = torch.bmm(a, b)
        expected = torch.bmm(a.double(), b.double())
        if float((found - expected).norm() / expected.norm()) > _ROUNDING:
            return False
    return True


def fast(rows: int, inner: int, columns: int, like: Tensor) -> bool:
    """Whether products of one lane's matrices of these sizes are oneDNN's.

    Args:
        rows: Of the first factor.
        inner: Its columns, and rows of the second.
        columns: Of the second factor.
        like: Any tensor of the device and dtype in question.
    """
    large = rows * inner * columns >= _LARGE
    return large and like.dtype == torch.float32 and like.is_cpu and _exact()


_ONE_DNN: Final = OneDnn()


def bmm(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """Return a @ b for a (L, m, k) and b (L, k, n)."""
    if not fast(a.shape[1], a.shape[2], b.shape[2], a):
        return torch.bmm(a, b) if out is None else torch.bmm(a, b, out=out)
    with _ONE_DNN:
        return torch.bmm(a, b) if out is None else torch.bmm(a, b, out=out)


def baddbmm(
    c: Tensor,
    a: Tensor,
    b: Tensor,
    *,
    beta: float = 1.0,
    alpha: float = 1.0,
    out: Tensor | None = None,
) -> Tensor:
    """Return beta c + alpha a @ b for a (L, m, k), b (L, k, n) and a c that broadcasts.

    Args:
        c: What is added; ignored, NaN and all, with a beta of 0.
        a: The first factors.
        b: The second factors.
        beta: Factor of c.
        alpha: Factor of the products.
        out: Where the result goes; may be c.
    """
    if not fast(a.shape[1], a.shape[2], b.shape[2], a):
        return _baddbmm(c, a, b, out, beta=beta, alpha=alpha)
    with _ONE_DNN:
        return _baddbmm(c, a, b, out, beta=beta, alpha=alpha)


def by_one(a: Tensor, b: Tensor) -> Tensor:
    """Return a @ b for a (L, m, k) and one b (k, n) that all lanes share.

    ``a @ b`` itself makes one product of all lanes' rows, and how many there are may change how
    each is rounded.
    """
    return bmm(a, b.expand(a.shape[0], -1, -1))


def _baddbmm(
    c: Tensor, a: Tensor, b: Tensor, out: Tensor | None, *, beta: float, alpha: float
) -> Tensor:
    if out is None:
        return torch.baddbmm(c, a, b, beta=beta, alpha=alpha)
    if out is c:
        return c.baddbmm_(a, b, beta=beta, alpha=alpha)
    return torch.baddbmm(c, a, b, beta=beta, alpha=alpha, out=out)
