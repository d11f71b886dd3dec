"""A stand-in for jax and optax where they are not installed: numpy, and as little else as will do.

It has what exported files use, so that their arithmetic can be tested without the real packages;
where those are installed, the tests use them.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

__all__ = ["installed", "stand_in"]


def installed() -> bool:
    """Whether jax and optax are there."""
    return all(importlib.util.find_spec(name) is not None for name in ("jax", "optax"))


class _Tree(NamedTuple):
    """The structure of a dictionary of arrays."""

    keys: tuple[str, ...]

    def unflatten(self, leaves: list[Any]) -> dict[str, Any]:
        return dict(zip(self.keys, leaves, strict=True))

    def flatten_up_to(self, tree: dict[str, Any]) -> list[Any]:
        return [tree[key] for key in self.keys]


class _Transformation(NamedTuple):
    init: Any
    update: Any


def _chain(direction: _Transformation, rate: float) -> _Transformation:
    def update(grads: Any, state: Any, params: Any) -> tuple[Any, Any]:
        updates, state = direction.update(grads, state, params)
        return {key: -rate * u for key, u in updates.items()}, state

    return _Transformation(direction.init, update)


def stand_in() -> dict[str, ModuleType]:
    """Return modules to put into `sys.modules`."""
    jnp = ModuleType("jax.numpy")
    vars(jnp).update({name: getattr(np, name) for name in np.__all__ if hasattr(np, name)})
    vars(jnp)["linalg"] = np.linalg
    vars(jnp)["clip"] = lambda x, low, high: np.minimum(np.maximum(x, low), high)
    tree = SimpleNamespace(
        map=lambda f, t: {k: f(v) for k, v in t.items()},
        flatten=lambda t: (list(t.values()), _Tree(tuple(t))),
    )
    jax = ModuleType("jax")
    vars(jax).update(numpy=jnp, tree=tree, Array=np.ndarray)
    optax = ModuleType("optax")
    vars(optax).update(
        GradientTransformation=_Transformation,
        GradientTransformationExtraArgs=_Transformation,
        ScalarOrSchedule=float,
        NO_PARAMS_MSG="no parameters",
        chain=_chain,
        scale_by_learning_rate=lambda rate: rate,
    )
    return {"jax": jax, "jax.numpy": jnp, "optax": optax}


def load(source: str) -> dict[str, Any]:
    """Return the names that an exported file defines."""
    scope: dict[str, Any] = {"__name__": "exported"}
    if installed():
        import jax

        jax.config.update("jax_enable_x64", True)
        exec(compile(source, "<exported>", "exec"), scope)
        return scope
    modules = stand_in()
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        exec(compile(source, "<exported>", "exec"), scope)
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    return scope
