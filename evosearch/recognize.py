"""Known optimizers, recognized by what they compute.

A rule is a black box that is fed gradients (`evosearch.identify`): its weight decay and the filter
that it applies to the gradients are measured, a known form with these constants is simulated in
numpy, and the form counts if its updates are the rule's on the probe trajectories up to a residual.
Text plays no part, so a bloated or renamed program is recognized like a tidy one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from evosearch.identify import Box, Filter, middle
from evosearch.liveness import strip
from evosearch.program import Rule, RuleSet
from evosearch.simplify.linear import snap
from evosearch.simplify.probe import Array, probe
from primitives import oracle

__all__ = ["RESIDUAL", "Recognition", "recognize", "recognize_rule"]

RESIDUAL: Final = 1e-6
"""Largest relative difference from the form's updates, entry by entry."""
_LOOSE: Final = 1e-3
"""The same where Newton-Schulz is involved, whose epsilon breaks scale invariance a little."""
_SAME_RATE: Final = 0.01
"""Relative difference of two averages' lengths 1 / (1 - beta) from which they count as two."""


@dataclass(frozen=True)
class Recognition:
    """A known optimizer with its constants, and how well it fits."""

    name: str
    """A name of the library: "sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw", "signsgd",
    "signum", "lion" or "muon"."""
    constants: Mapping[str, float] = field(hash=False)
    """Recovered constants by name, relative to an update without a factor."""
    scale: float
    """The update is this many times the textbook's; for Muon, on a square matrix."""
    residual: float
    """Largest relative difference from the form on the probe trajectories."""
    tolerance: float
    """What the residual had to stay below."""
    rest: Recognition | None = None
    """What the other parameters are trained with, where that differs."""

    @property
    def strict_lion(self) -> bool:
        """Whether it is the sign of a combination that reads another rate than it writes."""
        return self.name == "lion"

    @property
    def lion_family(self) -> bool:
        """Whether it is the sign of gradient and running average, at one rate or two."""
        return self.name in ("lion", "signum")

    @property
    def muon(self) -> bool:
        """Whether it orthogonalizes a combination of gradient and running average."""
        return self.name == "muon"

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        plain = dict(vars(self)) | {"constants": dict(self.constants)}
        return plain | {"rest": None if self.rest is None else self.rest.to_json()}

    @property
    def title(self) -> str:
        """Its name without constants, for tables."""
        name = _TITLES[self.name]
        return name if self.rest is None else f"{name}, rest {_TITLES[self.rest.name]}"

    def __str__(self) -> str:
        text = _TITLES[self.name] + _described(self.name, self.constants)
        return text if self.rest is None else f"{text}, and {self.rest} for the rest"


_TITLES: Final = {
    "sgd": "SGD",
    "momentum": "Momentum SGD",
    "nesterov": "Nesterov SGD",
    "rmsprop": "RMSProp",
    "adam": "Adam",
    "adamw": "AdamW",
    "signsgd": "signSGD",
    "signum": "Signum",
    "lion": "Lion",
    "muon": "Muon",
}


def _described(name: str, constants: Mapping[str, float]) -> str:
    words: list[str] = []
    if "beta1" in constants and "beta2" in constants:
        words.append(f"β = ({_short(constants['beta1'])}, {_short(constants['beta2'])})")
    if "momentum" in constants:
        kind = "Nesterov " if name == "muon" and _looks_ahead(constants) else ""
        words.append(f"{kind}momentum {_short(constants['momentum'])}")
    if "read" in constants and not _plain(constants) and not _looks_ahead(constants):
        words.append(f"read rate {_short(constants['read'])}")
    if "alpha" in constants:
        words.append(f"decay {_short(constants['alpha'])}")
    if "eps" in constants:
        where = " under the root" if "eps_under_root" in constants else ""
        words.append(f"ε = {_short(constants['eps'])}{where}" if constants["eps"] else "no ε")
    if constants.get("weight_decay"):
        words.append(f"weight decay {_short(constants['weight_decay'])}")
    text = " with " + " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)
    if constants.get("steps", 5.0) != 5.0:
        text += " (Polar Express)" if not constants["steps"] else " (3 Newton-Schulz steps)"
    if name in ("adam", "adamw") and not constants["bias_correction"]:
        return f" without bias correction,{text}"
    return text if words else ""


def _looks_ahead(constants: Mapping[str, float]) -> bool:
    """Whether ``a m + (1 - a) g`` over the new average m has a = its decay, as Nesterov's has."""
    return math.isclose(constants["read"], constants["momentum"] ** 2, rel_tol=1e-3)


def _plain(constants: Mapping[str, float]) -> bool:
    return math.isclose(constants["read"], constants["momentum"], rel_tol=1e-3)


def _short(value: float) -> str:
    return f"{value:.4g}"


def recognize(rules: RuleSet) -> Recognition | None:
    """Return what a program is: its rule for matrices, and its other rule if it has one."""
    found = recognize_rule(rules.matrix)
    if found is None or rules.rest is None:
        return found
    rest = recognize_rule(rules.rest)
    if rest is None:
        return None
    return Recognition(**{**vars(found), "rest": rest})


def recognize_rule(rule: Rule) -> Recognition | None:
    """Return the known optimizer that a rule is, up to constants and a positive factor, or None.

    The rule may be raw. Takes milliseconds; trains nothing.
    """
    rule = strip(rule)
    if not any("g" in s.reads for s in rule.body) and rule.update != "g":
        return None
    with np.errstate(all="ignore"):
        box = Box(rule)
        if box.decay is None:
            return None
        seen = box.filter()
        if seen is None:
            return None
        filter_ = Filter(snap(_rounded(seen.read)), snap(_rounded(seen.decay)))
        if filter_.read != 0.0 and not 0.0 < filter_.decay < 1.0:
            return None
        trial = _Trial(box, filter_)
        return next(filter(None, (form(trial) for form in _FORMS)), None)


def _rounded(value: float) -> float:
    """Return a measured constant without the last digits, which bisection leaves open."""
    short = float(f"{value:.6g}")
    return short if abs(short - value) <= 1e-8 * max(1.0, abs(value)) else value


class _Trial:
    """A rule's updates on the probe, and its filter's output there."""

    def __init__(self, box: Box, filter_: Filter) -> None:
        data = probe(flat=False)
        self.filter = filter_
        assert box.decay is not None
        self.decay = box.decay
        self.gradients = data.gradients
        self.updates = box.feed(data.gradients)
        self.signals = [filter_.apply(g) for g in data.gradients]

    def scale(self, model: list[Array]) -> float:
        """Return the factor between the updates and a model, at the ordinary scale."""
        pairs = zip(self.updates, model, strict=True)
        return middle([u[:, 0] / m[:, 0] for u, m in pairs])

    def residual(self, model: list[Array], lanes: slice = slice(None)) -> float:
        """Return the largest difference relative to the entry's largest magnitude.

        Entries whose signal is zero but for rounding are left out.
        """
        worst = 0.0
        for u, m, z in zip(self.updates, model, self.signals, strict=True):
            if not np.isfinite(u).all():
                return math.inf
            size = np.maximum.accumulate(np.abs(z), axis=0)
            clear = (np.abs(z) > 1e-7 * size) | (z == 0.0)
            top = np.abs(u).max(axis=0, keepdims=True)
            error = np.where(clear & (u != m), np.abs(u - m) / top, 0.0)[:, lanes]
            worst = max(worst, float(error.max()))
        return worst

    def result(
        self,
        name: str,
        model: list[Array],
        constants: dict[str, float],
        tolerance: float = RESIDUAL,
    ) -> Recognition | None:
        """Return the recognition if the model, up to a positive factor, is what the rule does."""
        scale = self.scale(model)
        if not scale > 0.0:
            return None
        residual = self.residual([scale * m for m in model])
        if residual > tolerance:
            return None
        if self.decay:
            constants = constants | {"weight_decay": snap(_rounded(self.decay / scale))}
        return Recognition(name, constants, snap(scale), residual, tolerance)


def _linear(trial: _Trial) -> Recognition | None:
    """Fit c (a m + b g)."""
    read, decay = trial.filter.read, trial.filter.decay
    if read == 0.0:
        return trial.result("sgd", trial.signals, {})
    if read < 0.0:
        return None
    if _same_rate(read, decay):
        return trial.result("momentum", trial.signals, {"momentum": decay})
    return trial.result("nesterov", trial.signals, _rates(trial.filter, "read", "momentum"))


def _sign(trial: _Trial) -> Recognition | None:
    """sign(a m + b g)."""
    model = [np.sign(z) for z in trial.signals]
    read, decay = trial.filter.read, trial.filter.decay
    if read == 0.0:
        return trial.result("signsgd", model, {})
    if read < 0.0:
        return None
    if _same_rate(read, decay):
        return trial.result("signum", model, {"momentum": decay})
    return trial.result("lion", model, _rates(trial.filter, "beta1", "beta2"))


def _rates(filter_: Filter, read: str, write: str) -> dict[str, float]:
    """Return the two rates of ``a m + (1 - a) g`` over ``m <- b m + (1 - b) g``."""
    weight = filter_.read / (filter_.read + 1.0 - filter_.decay)
    return {read: snap(_rounded(weight)), write: filter_.decay}


def _same_rate(read: float, decay: float) -> bool:
    """Whether one rate explains both: then the old average is read with the weight it decays by."""
    weight = read / (read + 1.0 - decay)
    return abs(math.log((1.0 - weight) / (1.0 - decay))) <= _SAME_RATE


_ORTHOGONALIZERS: Final[tuple[tuple[float, Callable[[Array], Array]], ...]] = (
    (5.0, lambda x: oracle.newton_schulz(x, 5)),
    (3.0, lambda x: oracle.newton_schulz(x, 3)),
    (0.0, oracle.polar_express),
)
"""Newton-Schulz steps, 0 for Polar Express, and the function."""


def _orthogonal(trial: _Trial) -> Recognition | None:
    """c(shape) NS(a m + b g)."""
    if trial.filter.read <= 0.0:
        return None
    for steps, function in _ORTHOGONALIZERS:
        lane = slice(0, 1)
        model = [function(z[:, lane]) for z in trial.signals]
        scales = [middle([u[3:, lane] / m[3:]]) for u, m in zip(trial.updates, model, strict=True)]
        if not all(s > 0.0 for s in scales):
            continue
        scaled = [
            np.broadcast_to(s * m, u.shape)
            for s, m, u in zip(scales, model, trial.updates, strict=True)
        ]
        residual = trial.residual(scaled, lane)
        if residual <= _LOOSE:
            constants = _rates(trial.filter, "read", "momentum") | {"steps": steps}
            if trial.decay:
                constants["weight_decay"] = snap(_rounded(trial.decay / scales[-1]))
            return Recognition("muon", constants, float(f"{scales[-1]:.6g}"), residual, _LOOSE)
    return None


def _adaptive(trial: _Trial) -> Recognition | None:
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


def _second_rate(trial: _Trial) -> float | None:
    """Return the decay of the average of squares, from the denominators at the largest scale."""
    rates: list[Array] = []
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
    return snap(_rounded(rate)) if 0.0 < rate < 1.0 else None


def _adam(
    trial: _Trial, beta1: float, beta2: float, corrections: tuple[bool, bool], inside: bool
) -> Recognition | None:
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
    eps = snap(_rounded(eps)) if eps > 1e-16 else 0.0
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


def _average(x: Array, decay: float) -> Array:
    result, mean = np.empty_like(x), np.zeros_like(x[0])
    for t, value in enumerate(x):
        mean = decay * mean + (1.0 - decay) * value
        result[t] = mean
    return result


_Form = Callable[[_Trial], Recognition | None]
_FORMS: Final[tuple[_Form, ...]] = (_linear, _sign, _orthogonal, _adaptive)
