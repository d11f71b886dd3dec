"""Known optimizers as families: the constants that each is tuned over, all as widely.

A claim against a baseline is worth as much as the baseline's tuning, and a find that is a baseline
with an untried constant is none. So every constant that its users tune is an axis here: memories,
how much the newest gradient counts, weight decay, and AdamW's warm-up; and the constants of AdamW
for the rest, where the optimizer is for matrices. Tuning starts at the library's constants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from evosearch.training.baseline import adamw
from evosearch.training.tunable import Axis, Kind, Tunable

__all__ = ["FAMILIES"]

_MEMORY: Final = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98)
"""Decay rates of averages of gradients."""
_SQUARES: Final = (0.9, 0.95, 0.98, 0.99, 0.999)
"""Decay rates of averages of squares."""


def _decay(first: int) -> Axis:
    """Return weight decay, relative to updates whose entries are about 1."""
    return Axis("weight decay", (0.0, 0.01, 0.1), first, Kind.FACTOR)


def _coupled() -> Axis:
    """Return weight decay in the gradient's units."""
    return Axis("weight decay", (0.0, 5e-4, 5e-3), 0, Kind.FACTOR)


def _axis(name: str, values: tuple[float, ...], first: float) -> Axis:
    return Axis(name, values, values.index(first), Kind.DECAY)


def _of_matrices(axis: Axis) -> Axis:
    return replace(axis, rest=False)


def _of_the_rest(axis: Axis) -> Axis:
    return replace(axis, name=f"{axis.name} of the rest", matrix=False)


def _program(head: str, body: str, update: str, states: str, decay: float) -> str:
    """Return program text that returns ``update + decay * w`` and the states."""
    if decay:
        body += f"    r = w * {decay}\n    u = {update} + r\n"
        update = "u"
    return f"def {head}:\n{body}    return {', '.join(filter(None, (update, states)))}\n"


def _sgd(values: tuple[float, ...]) -> str:
    (decay,) = values
    return _program("sgd(w, g)", "", "g", "", decay)


def _momentum(values: tuple[float, ...]) -> str:
    # An average, not a sum: then the same learning rate suits every memory.
    rate, decay = values
    body = f"    m = lerp(m, g, {_one_minus(rate)})\n"
    return _program("momentum(w, g, m)", body, "m", "m", decay)


def _nesterov(values: tuple[float, ...]) -> str:
    rate, decay = values
    body = f"    m = lerp(m, g, {_one_minus(rate)})\n    u = lerp(m, g, {_one_minus(rate)})\n"
    return _program("nesterov(w, g, m)", body, "u", "m", decay)


def _adamw(values: tuple[float, ...]) -> str:
    first, second, decay, warmup = values
    return adamw((first, second), decay, warmup)


def _signum(values: tuple[float, ...]) -> str:
    rate, decay = values
    body = f"    m = lerp(m, g, {_one_minus(rate)})\n    u = sign(m)\n"
    return _program("signum(w, g, m)", body, "u", "m", decay)


def _lion(values: tuple[float, ...]) -> str:
    read, write, decay = values
    body = (
        f"    c = lerp(m, g, {_one_minus(read)})\n"
        "    u = sign(c)\n"
        f"    m = lerp(m, g, {_one_minus(write)})\n"
    )
    return _program("lion(w, g, m)", body, "u", "m", decay)


def _muon(values: tuple[float, ...]) -> str:
    """Return Muon's text; a share of 0 is Nesterov's, which follows from the momentum."""
    rate, share, decay, first, second = values
    read = f"lerp(m, g, {share})" if share else f"lerp(g, m, {rate})"
    body = (
        f"    m = lerp(m, g, {_one_minus(rate)})\n"
        f"    c = {read}\n"
        "    o = newton_schulz5(c)\n"
        "    u = spectral_scale(o)\n"
    )
    matrix = _program("muon(w, g, m)", body, "u", "m", decay)
    rest = adamw((first, second), eps=1e-10).replace("def adamw(", "def rest(")
    return f"{matrix}\n\n{rest}"


def _one_minus(rate: float) -> float:
    return round(1.0 - rate, 9)


FAMILIES: Final[Mapping[str, Tunable]] = MappingProxyType(
    {
        "sgd": Tunable((_coupled(),), _sgd),
        "momentum": Tunable((_axis("momentum", _MEMORY, 0.9), _coupled()), _momentum),
        "nesterov": Tunable((_axis("momentum", _MEMORY, 0.9), _coupled()), _nesterov),
        "adamw": Tunable(
            (
                _axis("beta 1", _MEMORY[:-1], 0.9),
                _axis("beta 2", _SQUARES, 0.999),
                _decay(1),
                Axis("warm-up", (0.0, 10.0, 30.0), 0, Kind.FACTOR),
            ),
            _adamw,
        ),
        "signum": Tunable((_axis("momentum", _MEMORY, 0.9), _decay(0)), _signum),
        "lion": Tunable(
            (
                _axis("beta 1", (0.5, 0.7, 0.8, 0.9, 0.95), 0.9),
                _axis("beta 2", (0.9, 0.95, 0.98, 0.99, 0.995), 0.99),
                _decay(0),
            ),
            _lion,
        ),
        "muon": Tunable(
            (
                _of_matrices(_axis("momentum", (0.5, 0.7, 0.8, 0.9, 0.95, 0.98), 0.95)),
                _of_matrices(_axis("gradient's share", (0.0, 0.25, 0.5), 0.0)),
                _of_matrices(_decay(0)),
                _of_the_rest(_axis("beta 1", _MEMORY[:-1], 0.9)),
                _of_the_rest(_axis("beta 2", _SQUARES, 0.95)),
            ),
            _muon,
        ),
    }
)
"""By name, simplest family first."""
