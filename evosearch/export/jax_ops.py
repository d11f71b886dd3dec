"""The ops in jax: what their torch templates compute, for one matrix at a time."""

from __future__ import annotations

import ast
from functools import cache
from importlib.resources import files
from typing import Final

from primitives.table import OPS

__all__ = ["JAX", "OTHERWISE", "kernels_in"]

_ALL, _ROW, _COL = "(-2, -1)", "-1", "-2"

OTHERWISE: Final[dict[str, str]] = {
    "minimum": "jnp.minimum({0}, {1})",
    "maximum": "jnp.maximum({0}, {1})",
    "clip": "jnp.clip({0}, -{1}, {1})",
    "select": "jnp.where({0} > 0, {1}, {2})",
    "cbrt": "jnp.cbrt({0})",
    "sinh": "jnp.sinh({0})",
    "cosh": "jnp.cosh({0})",
    "lerp": "{rest} * {0} + {2} * {1}",
    "heavy_ball": "{2} * {0} + {1}",
    "debias": "{0} / (1 - {1}**t)",
    "every": "jnp.where((t - 1) % {2} == 0, {0}, {1})",
    "rows": "jnp.full((1, 1), {0}.shape[-2], {0}.dtype)",
    "cols": "jnp.full((1, 1), {0}.shape[-1], {0}.dtype)",
    "quintic": "quintic({0}, {1}, {2}, {3})",
    "step": "jnp.full((1, 1), t, g.dtype)",
    "sum": "jnp.sum({0}, keepdims=True)",
    "mean": "jnp.mean({0}, keepdims=True)",
    "norm": f"norm({{0}}, {_ALL})",
    "rms": f"rms({{0}}, {_ALL})",
    "dot": "jnp.sum({0} * {1}, keepdims=True)",
    "row_mean": f"jnp.mean({{0}}, {_ROW}, keepdims=True)",
    "row_norm": f"norm({{0}}, {_ROW})",
    "row_rms": f"rms({{0}}, {_ROW})",
    "col_mean": f"jnp.mean({{0}}, {_COL}, keepdims=True)",
    "col_norm": f"norm({{0}}, {_COL})",
    "col_rms": f"rms({{0}}, {_COL})",
    "normalize": f"safe_div({{0}}, norm({{0}}, {_ALL}))",
    "rms_normalize": f"safe_div({{0}}, rms({{0}}, {_ALL}))",
    "row_normalize": f"safe_div({{0}}, norm({{0}}, {_ROW}))",
    "col_normalize": f"safe_div({{0}}, norm({{0}}, {_COL}))",
    "transpose": "{0}.T",
    "gram_left": "{0} @ {0}.T",
    "gram_right": "{0}.T @ {0}",
    "identity_left": "jnp.eye({0}.shape[-2], dtype={0}.dtype)",
    "identity_right": "jnp.eye({0}.shape[-1], dtype={0}.dtype)",
    "trace": "jnp.trace({0})[None, None]",
}
"""What jax says otherwise than torch; ``{rest}``: 1 minus lerp's weight."""

JAX: Final[dict[str, str]] = {
    op.name: OTHERWISE.get(op.name) or op.torch.replace("torch.", "jnp.") for op in OPS.values()
}
"""Op to expression: ``{0}``, ``{1}``, ... as in the table; kernels are those of `jax_kernels`."""


def kernels_in(text: str) -> list[str]:
    """Return the sources of the kernels that a text calls, and of those that they call."""
    sources = _sources()
    wanted: dict[str, None] = {}
    queue = [text]
    while queue:
        names = {n.func.id for n in ast.walk(ast.parse(queue.pop())) if _is_call(n)}  # pyright: ignore
        for name in sorted(names & sources.keys() - wanted.keys()):
            wanted[name] = None
            queue.append(sources[name])
    return [source for name, source in sources.items() if name in wanted]


def _is_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)


@cache
def _sources() -> dict[str, str]:
    text = files("evosearch.export").joinpath("jax_kernels.py").read_text(encoding="utf-8")
    return {
        node.name: ast.get_source_segment(text, node) or ""
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef)
    }
