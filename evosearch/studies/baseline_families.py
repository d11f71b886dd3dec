"""Known optimizers as families: the constants that each is tuned over, as many as AdamW's.

A claim against a baseline is worth as much as the baseline's tuning. Every family has ten members
(plain SGD, which has no rate to choose, has two), and each member gets the same grid of learning
rates as a candidate. A family's first member has the library's constants.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from evosearch.training.baseline import adamw

__all__ = ["FAMILIES"]

_DECAYS: Final = (0.0, 0.01)
"""Weight decay of updates whose entries are about 1."""
_COUPLED: Final = (0.0, 5e-4)
"""Weight decay of updates in the gradient's units."""
_RATES: Final = (0.9, 0.95, 0.99, 0.8, 0.5)
_LION: Final = ((0.9, 0.99), (0.95, 0.98), (0.9, 0.9), (0.8, 0.95), (0.7, 0.98))
_MUON: Final = (0.95, 0.9, 0.98, 0.8, 0.6)
_ADAMW: Final = ((0.9, 0.999), (0.9, 0.99), (0.9, 0.95), (0.8, 0.99), (0.95, 0.99))


def _program(head: str, body: str, update: str, states: str, decay: float) -> str:
    """Return program text that returns ``update + decay * w`` and the states."""
    if decay:
        body += f"    d = w * {decay}\n    u = {update} + d\n"
        update = "u"
    return f"def {head}:\n{body}    return {', '.join(filter(None, (update, states)))}\n"


def _sgd(decay: float) -> str:
    return _program("sgd(w, g)", "", "g", "", decay)


def _momentum(rate: float, decay: float) -> str:
    body = f"    m = heavy_ball(m, g, {rate})\n"
    return _program("momentum(w, g, m)", body, "m", "m", decay)


def _nesterov(rate: float, decay: float) -> str:
    body = f"    m = heavy_ball(m, g, {rate})\n    u = heavy_ball(m, g, {rate})\n"
    return _program("nesterov(w, g, m)", body, "u", "m", decay)


def _signum(rate: float, decay: float) -> str:
    body = f"    m = lerp(m, g, {_one_minus(rate)})\n    u = sign(m)\n"
    return _program("signum(w, g, m)", body, "u", "m", decay)


def _lion(read: float, write: float, decay: float) -> str:
    body = (
        f"    c = lerp(m, g, {_one_minus(read)})\n"
        "    u = sign(c)\n"
        f"    m = lerp(m, g, {_one_minus(write)})\n"
    )
    return _program("lion(w, g, m)", body, "u", "m", decay)


def _muon(rate: float, decay: float) -> str:
    body = (
        f"    m = lerp(m, g, {_one_minus(rate)})\n"
        f"    c = lerp(g, m, {rate})\n"
        "    o = newton_schulz5(c)\n"
        "    u = spectral_scale(o)\n"
    )
    return _program("muon(w, g, m)", body, "u", "m", decay)


def _one_minus(rate: float) -> float:
    return round(1.0 - rate, 9)


FAMILIES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "sgd": tuple(_sgd(d) for d in _COUPLED),
        "momentum": tuple(_momentum(b, d) for d in _COUPLED for b in _RATES),
        "nesterov": tuple(_nesterov(b, d) for d in _COUPLED for b in _RATES),
        "adamw": tuple(adamw(b, d) for d in reversed(_DECAYS) for b in _ADAMW),
        "signum": tuple(_signum(b, d) for d in _DECAYS for b in _RATES),
        "lion": tuple(_lion(*b, d) for d in _DECAYS for b in _LION),
        "muon": tuple(_muon(b, d) for d in _DECAYS for b in _MUON),
    }
)
"""Program texts by the name of the family, simplest family first."""
