"""The forms that known optimizers have: fitted to what a rule does, and held against it.

A form takes a `ProbeResponse`, which is a rule's updates on the probes and the filter that was
measured, finds the constants that are left, simulates itself in numpy and returns how well that
fits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from evosearch.recognize.blackbox import Box, Filter, middle
from evosearch.simplify.linear import snap
from evosearch.simplify.probe import STEPS, FloatArray, probe
from primitives import oracle

__all__ = ["FORMS", "RESIDUAL", "Fit", "ProbeResponse", "rounded"]

RESIDUAL: Final = 1e-6
"""Largest relative difference from the form's updates, entry by entry."""
_LOOSE: Final = 1e-3
"""The same where Newton-Schulz is involved, whose epsilon breaks scale invariance a little."""
_SMALLER: Final = 0.1
"""Factor of gradients that are small, and large beside Newton-Schulz's epsilon."""
_SAME_RATE: Final = 0.01
"""Relative difference of two averages' lengths 1 / (1 - beta) from which they count as two."""


@dataclass(frozen=True)
class Fit:
    """A form with its constants; `Recognition` says what they mean."""

    name: str
    constants: dict[str, float]
    scale: float
    residual: float
    tolerance: float


def rounded(value: float) -> float:
    """Return a measured constant without the last digits, which bisection leaves open."""
    short = float(f"{value:.6g}")
    return short if abs(short - value) <= 1e-8 * max(1.0, abs(value)) else value


class ProbeResponse:
    """A rule's updates on a probe, and its filter's output there."""

    def __init__(self, box: Box, filter_: Filter, steps: int = STEPS) -> None:
        data = probe(flat=False, steps=steps)
        self.filter = filter_
        assert box.decay is not None
        self.decay = box.decay
        self.box = box
        self.gradients = data.gradients
        self.updates = box.feed(data.gradients)
        self.signals = [filter_.apply(g) for g in data.gradients]

    def scale(self, model: list[FloatArray]) -> float:
        """Return the factor between the updates and a model, at the ordinary scale."""
        pairs = zip(self.updates, model, strict=True)
        return middle([u[:, 0] / m[:, 0] for u, m in pairs])

    def result(
        self,
        name: str,
        model: list[FloatArray],
        constants: dict[str, float],
        tolerance: float = RESIDUAL,
    ) -> Fit | None:
        """Return the fit if the model, up to a positive factor, is what the rule does."""
        scale = self.scale(model)
        if not scale > 0.0:
            return None
        residual = _residual(self.updates, [scale * m for m in model], self.signals)
        if residual > tolerance:
            return None
        if self.decay:
            constants = constants | {"weight_decay": snap(rounded(self.decay / scale))}
        return Fit(name, constants, snap(scale), residual, tolerance)


def _residual(
    updates: list[FloatArray], model: list[FloatArray], signals: list[FloatArray]
) -> float:
    """Return the largest difference of updates and a model, relative to the entry's largest.

    Entries whose signal is zero but for rounding are left out.
    """
    worst = 0.0
    for u, m, z in zip(updates, model, signals, strict=True):
        if not np.isfinite(u).all():
            return math.inf
        size = np.maximum.accumulate(np.abs(z), axis=0)
        clear = (np.abs(z) > 1e-7 * size) | (z == 0.0)
        top = np.abs(u).max(axis=0, keepdims=True)
        error = np.where(clear & (u != m), np.abs(u - m) / top, 0.0)
        worst = max(worst, float(error.max()))
    return worst


def _linear(trial: ProbeResponse) -> Fit | None:
    """Fit c (a m + b g)."""
    read, decay = trial.filter.read, trial.filter.decay
    if read == 0.0:
        return trial.result("sgd", trial.signals, {})
    if read < 0.0:
        return None
    if _same_rate(read, decay):
        return trial.result("momentum", trial.signals, {"momentum": decay})
    return trial.result("nesterov", trial.signals, _rates(trial.filter, "read", "momentum"))


def _sign(trial: ProbeResponse) -> Fit | None:
    """sign(a m + b g)."""
    model = [np.sign(z) for z in trial.signals]
    read, decay = trial.filter.read, trial.filter.decay
    if read == 0.0:
        return trial.result("signsgd", model, {})
    if read < 0.0:
        return None
    if _same_rate(read, decay):
        return trial.result("tiger" if trial.decay else "signum", model, {"momentum": decay})
    return trial.result("lion", model, _rates(trial.filter, "beta1", "beta2"))


def _rates(filter_: Filter, read: str, write: str) -> dict[str, float]:
    """Return the two rates of ``a m + (1 - a) g`` over ``m <- b m + (1 - b) g``."""
    weight = filter_.read / (filter_.read + 1.0 - filter_.decay)
    return {read: snap(rounded(weight)), write: filter_.decay}


def _same_rate(read: float, decay: float) -> bool:
    """Whether one rate explains both: then the old average is read with the weight it decays by."""
    if read <= 0.0 or decay >= 1.0:  # a gradient taken away, or a sum: no average is read
        return False
    weight = read / (read + 1.0 - decay)
    return abs(math.log((1.0 - weight) / (1.0 - decay))) <= _SAME_RATE


_SAME_SCALE: Final = 1e-3
"""Relative difference of the factors of two shapes that Newton-Schulz's errors may explain."""
_ORTHOGONALIZERS: Final[tuple[tuple[float, Callable[[FloatArray], FloatArray]], ...]] = (
    (5.0, lambda x: oracle.newton_schulz(x, 5)),
    (3.0, lambda x: oracle.newton_schulz(x, 3)),
    (0.0, oracle.polar_express),
)
"""Newton-Schulz steps, 0 for Polar Express, and the function."""


def _orthogonal(trial: ProbeResponse) -> Fit | None:
    """c(shape) NS(a m + b g), at gradients of any size.

    The smallest of the probes' scales is left out: there Newton-Schulz's epsilon counts, by how
    much depends on the factor of m. Gradients ten times smaller stand in for it.
    """
    if trial.filter.read <= 0.0:
        return None
    small = [_SMALLER * g[:, :1] for g in trial.gradients]
    gradients = zip(trial.gradients, small, strict=True)
    signals = [trial.filter.apply(np.concatenate([g[:, ::2], s], axis=1)) for g, s in gradients]
    fed = zip(trial.updates, trial.box.feed(small), strict=True)
    updates = [np.concatenate([u[:, ::2], s], axis=1) for u, s in fed]
    for steps, function in _ORTHOGONALIZERS:
        model = [function(z) for z in signals]
        pairs = list(zip(updates, model, strict=True))
        scales = [middle([u[3:, :1] / m[3:, :1]]) for u, m in pairs]
        if not all(s > 0.0 for s in scales):
            continue
        scaled = [s * m for s, m in zip(scales, model, strict=True)]
        residual = _residual(updates, scaled, signals)
        if residual <= _LOOSE:
            constants = _rates(trial.filter, "read", "momentum") | {"steps": steps}
            sides = [0.2 * max(g.shape[-2:]) ** 0.5 for g in trial.gradients]  # Moonlight's
            units = [s / side for s, side in zip(scales, sides, strict=True)]
            longer_side = steps == 5.0 and max(units) < (1.0 + _SAME_SCALE) * min(units)
            name, scale = ("moonlight_muon", units[-1]) if longer_side else ("muon", scales[-1])
            if trial.decay:
                constants["weight_decay"] = snap(rounded(trial.decay / scale))
            return Fit(name, constants, float(f"{scale:.6g}"), residual, _LOOSE)
    return None


def _adaptive(trial: ProbeResponse) -> Fit | None:
    """Fit m / (sqrt(v) + eps), for averages m of g and v of g^2, corrected for bias or not."""
    read, beta1 = trial.filter.read, trial.filter.decay
    if read != 0.0 and not _same_rate(read, beta1):
        return None
    beta2 = _second_rate(trial)
    if beta2 is None:
        return None
    for corrections in ((True, True), (False, False), (True, False), (False, True)):
        for inside in (False, True):
            found = _adam(trial, beta1, beta2, corrections, inside)
            if found is not None:
                return found
        if read == 0.0 and corrections == (False, False):
            return None
    return None


def _second_rate(trial: ProbeResponse) -> float | None:
    """Return the decay of the average of squares, from the denominators at the largest scale."""
    rates: list[FloatArray] = []
    for u, z, g in zip(trial.updates, trial.signals, trial.gradients, strict=True):
        squares = (z[:, 2] / u[:, 2]) ** 2  # proportional to v, whose factor depends on t alone
        for t in (4, 5):
            v = squares[t].ravel()
            past = np.stack([np.square(g[t - k, 2]).ravel() for k in range(t + 1)], axis=1)
            usable = np.isfinite(v) & (v > 0.0)
            if usable.sum() <= t + 1:
                return None
            weights, *_ = np.linalg.lstsq(past[usable], v[usable], rcond=None)
            rates.append(weights[1] / weights[0])
    rate = float(np.median(rates))
    return snap(rounded(rate)) if 0.0 < rate < 1.0 else None


def _adam(
    trial: ProbeResponse, beta1: float, beta2: float, corrections: tuple[bool, bool], inside: bool
) -> Fit | None:
    """Fit scale and epsilon for given rates; `inside`: epsilon is added under the root."""
    tops, roots = [], []
    for g in trial.gradients:
        t = np.arange(1.0, len(g) + 1.0).reshape(-1, 1, 1, 1)
        m, v = _average(g, beta1), _average(np.square(g), beta2)
        tops.append(m / (1.0 - beta1**t) if corrections[0] else m)
        roots.append(np.sqrt(v / (1.0 - beta2**t)) if corrections[1] else np.sqrt(v))
    pairs = list(zip(trial.updates, tops, roots, strict=True))
    scale = middle([u[:, 2] * r[:, 2] / m[:, 2] for u, m, r in pairs])
    below = [scale * m[:, 1] / u[:, 1] for u, m, _ in pairs]
    small = [r[:, 1] for _, _, r in pairs]
    if inside:
        eps = middle([np.square(b) - np.square(r) for b, r in zip(below, small, strict=True)])
    else:
        eps = middle([b - r for b, r in zip(below, small, strict=True)])
    eps = snap(rounded(eps)) if eps > 1e-16 else 0.0
    model = [
        oracle.safe_div(m, np.sqrt(r * r + eps) if inside else r + eps)
        for m, r in zip(tops, roots, strict=True)
    ]
    constants = {"eps": eps}
    if inside and eps:
        constants["eps_under_root"] = 1.0
    if trial.filter.read == 0.0:
        return trial.result("rmsprop", model, {"alpha": beta2, **constants})
    name = "adamw" if trial.decay else "adam"
    if corrections[0] != corrections[1]:
        constants["half_corrected"] = 1.0
    rates = {"beta1": beta1, "beta2": beta2, "bias_correction": float(all(corrections))}
    return trial.result(name, model, rates | constants)


def _average(x: FloatArray, decay: float) -> FloatArray:
    result, mean = np.empty_like(x), np.zeros_like(x[0])
    for t, value in enumerate(x):
        mean = decay * mean + (1.0 - decay) * value
        result[t] = mean
    return result


_Fitter = Callable[[ProbeResponse], Fit | None]
FORMS: Final[Mapping[str, _Fitter]] = MappingProxyType(
    {"linear": _linear, "sign": _sign, "orthogonal": _orthogonal, "adaptive": _adaptive}
)
"""By the name that the library's rows use, cheapest first; a fit's name is the row's."""
