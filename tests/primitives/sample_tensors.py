"""Arguments to try the ops on: every size, magnitude and memory layout, inside the domain."""

from math import isfinite

import numpy as np
from hypothesis import strategies as st

from primitives.op import Op

SIZES = {"tall": (6, 4), "wide": (4, 6), "square": (5, 5), "single": (1, 1), "row": (1, 5)}
EMPTY = {"no rows": (0, 3), "no columns": (3, 0)}
K = 3  # the free dimension of a matrix product
MAGNITUDES = ("normal", "zeros", "sparse", "tiny", "huge", "mixed")
LAYOUTS = ("contiguous", "transposed", "strided")
STEP = 3


def constants_of(op: Op) -> tuple[tuple[float, ...], ...]:
    """The constants to test an op with: its probes, or none."""
    return op.probes or ((),)


def extra(op: Op) -> tuple[float, ...]:
    """What the numpy column takes after the constants."""
    return (STEP,) if op.uses_step else ()


def shapes(op: Op, m: int, n: int) -> list[tuple[int, int]]:
    """A concrete shape for each argument; broadcasting ones get different shapes that fit."""
    size = {"i": m, "j": n, "k": K, "1": 1}
    broadcast = iter([(m, n), (1, n), (m, 1)])
    return [next(broadcast) if p == "*" else (size[p[0]], size[p[1]]) for p in op.signature.inputs]


def values(
    rng: np.random.Generator, op: Op, shape: tuple[int, ...], magnitude: str, square: bool
) -> np.ndarray:
    """Random entries in the op's domain; a square argument is positive definite."""
    x = rng.standard_normal(shape)
    if square:
        wide = rng.standard_normal((*shape[:-1], shape[-1] + 4))
        x = wide @ wide.mT + 0.1 * np.diag(np.arange(shape[-1]))
    if magnitude == "sparse" and not square:
        x = x * (rng.random(shape) < 0.5)
    if magnitude == "mixed" and not square:
        x = x * 10.0 ** rng.uniform(-30, 30, shape)
    x = x * {"zeros": 0.0, "tiny": 1e-30, "huge": 1e30}.get(magnitude, 1.0)
    return inside(op, x)


def inside(op: Op, x: np.ndarray) -> np.ndarray:
    """Move entries into the op's domain: reflected at a lower end 0, else clipped."""
    low, high = op.domain
    if low >= 0:
        x = np.abs(x)
    return np.clip(x, low, high) if isfinite(low) or isfinite(high) else x


def lay_out(x: np.ndarray, layout: str) -> np.ndarray:
    """The same entries in another memory layout."""
    if layout == "transposed":
        return np.ascontiguousarray(x.mT).mT
    if layout == "strided":
        return np.repeat(x, 2, axis=-1)[..., ::2]
    return x


def arguments(
    op: Op,
    seed: int = 0,
    size: tuple[int, int] = SIZES["wide"],
    lanes: tuple[int, ...] = (),
    magnitude: str = "normal",
) -> list[np.ndarray]:
    """Arguments of one kind."""
    rng = np.random.default_rng(seed)
    patterns = op.signature.inputs
    m, n = (size[0], size[0]) if "ii" in patterns else size
    return [
        values(rng, op, (*lanes, *shape), magnitude, pattern == "ii")
        for pattern, shape in zip(patterns, shapes(op, m, n), strict=True)
    ]


@st.composite
def drawn_arguments(draw: st.DrawFn, op: Op) -> list[np.ndarray]:
    """Arguments of any kind, each with a magnitude and a layout of its own."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    m, n = draw(st.sampled_from([*SIZES.values(), *EMPTY.values()]))
    lanes = draw(st.sampled_from([(), (1,), (3,), (2, 2)]))
    patterns = op.signature.inputs
    n = m if "ii" in patterns else n
    return [
        lay_out(
            values(rng, op, (*lanes, *shape), draw(st.sampled_from(MAGNITUDES)), pattern == "ii"),
            draw(st.sampled_from(LAYOUTS)),
        )
        for pattern, shape in zip(patterns, shapes(op, m, n), strict=True)
    ]
