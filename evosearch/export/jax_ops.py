"""The ops in jax: what their torch templates compute, for one matrix at a time."""

from __future__ import annotations

import ast
from functools import cache
from importlib.resources import files
from typing import Final

from evosearch.export.hyper import ITERATIONS

__all__ = ["JAX", "kernels_in"]

_UNARY: Final = (
    *("abs", "sign", "square", "sqrt", "exp", "log", "log1p", "sin", "cos", "tan", "arcsin"),
    *("arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh"),
)
_ALL, _ROW, _COL = "(-2, -1)", "-1", "-2"

JAX: Final[dict[str, str]] = {
    **{name: f"jnp.{name}({{0}})" for name in _UNARY},
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "safe_div({0}, {1})",
    "neg": "-{0}",
    "minimum": "jnp.minimum({0}, {1})",
    "maximum": "jnp.maximum({0}, {1})",
    "clip": "jnp.clip({0}, -{1}, {1})",
    "clip_to": "clip_to({0}, {1})",
    "select": "jnp.where({0} > 0, {1}, {2})",
    "cube": "{0} * {0} * {0}",
    "rsqrt": "safe_div(1.0, jnp.sqrt({0}))",
    "cbrt": "jnp.cbrt({0})",
    "power": "signed_power({0}, {1})",
    "sigmoid": "1 / (1 + jnp.exp(-{0}))",
    "lerp": "{rest} * {0} + {2} * {1}",
    "heavy_ball": "{2} * {0} + {1}",
    "debias": "{0} / (1 - {1}**t)",
    "step": "jnp.full((1, 1), t, g.dtype)",
    "sum": "jnp.sum({0}, keepdims=True)",
    "mean": "jnp.mean({0}, keepdims=True)",
    "norm": f"norm({{0}}, {_ALL})",
    "rms": f"rms({{0}}, {_ALL})",
    "max_abs": f"max_abs({{0}}, {_ALL})",
    "dot": "jnp.sum({0} * {1}, keepdims=True)",
    "cosine": "cosine({0}, {1})",
    "row_mean": f"jnp.mean({{0}}, {_ROW}, keepdims=True)",
    "row_norm": f"norm({{0}}, {_ROW})",
    "row_rms": f"rms({{0}}, {_ROW})",
    "row_max_abs": f"max_abs({{0}}, {_ROW})",
    "col_mean": f"jnp.mean({{0}}, {_COL}, keepdims=True)",
    "col_norm": f"norm({{0}}, {_COL})",
    "col_rms": f"rms({{0}}, {_COL})",
    "col_max_abs": f"max_abs({{0}}, {_COL})",
    "normalize": f"safe_div({{0}}, norm({{0}}, {_ALL}))",
    "rms_normalize": f"safe_div({{0}}, rms({{0}}, {_ALL}))",
    "row_normalize": f"safe_div({{0}}, norm({{0}}, {_ROW}))",
    "col_normalize": f"safe_div({{0}}, norm({{0}}, {_COL}))",
    "matmul": "{0} @ {1}",
    "transpose": "{0}.T",
    "gram_left": "{0} @ {0}.T",
    "gram_right": "{0}.T @ {0}",
    "identity_left": "jnp.eye({0}.shape[-2], dtype={0}.dtype)",
    "identity_right": "jnp.eye({0}.shape[-1], dtype={0}.dtype)",
    "trace": "jnp.trace({0})[None, None]",
    "triu": "jnp.triu({0})",
    **{name: f"newton_schulz({{0}}, {steps})" for name, steps in ITERATIONS.items()},
    "polar_express": "polar_express({0})",
    "spectral_scale": "{0} * max(1.0, {0}.shape[-2] / max(1, {0}.shape[-1])) ** 0.5",
    "rms_scale": "{0} * (0.2 * max({0}.shape[-2:]) ** 0.5)",
    "inv_sqrt": "inverse_root({0}, 2)",
    "inv_fourth_root": "inverse_root({0}, 4)",
    "eig_basis": "eig_basis({0})",
    "basis_step": "basis_step({0}, {1})",
}
"""Op to expression: ``{0}``, ``{1}``, ... as in the table; ``{rest}``: 1 minus lerp's weight."""


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
