"""Known optimizers, recognized by what they compute.

A rule is a black box that is fed gradients (`evosearch.recognize.blackbox`): its weight decay and
the filter that it applies to the gradients are measured, a known form with these constants is
simulated in numpy, and the form counts if its updates are the rule's on the probe trajectories up
to a residual. What has no form is recognized with the library's constants alone, by the same
measure. Text plays no part, so a bloated or renamed program is recognized like a tidy one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import numpy as np

from evosearch.equivalence.fingerprint import rule_fingerprint
from evosearch.equivalence.probes import LONG, Array
from evosearch.equivalence.trajectory import trajectory
from evosearch.language.known import known
from evosearch.language.library import LIBRARY
from evosearch.language.liveness import strip
from evosearch.language.rule import Rule, RuleSet
from evosearch.recognize.blackbox import Box, Filter
from evosearch.recognize.fingerprints import FORMLESS
from evosearch.recognize.forms import FORMS, RESIDUAL, ProbeResponse, rounded
from evosearch.simplify.linear import snap

__all__ = ["Recognition", "recognize", "recognize_rule"]

_NAMES: Final[Mapping[str | None, str]] = {key: name for name, key in FORMLESS.items()}
"""Known optimizers without a form, by fingerprint."""
_LATE: Final = 400
"""Steps of a second look at what fits: a rule may count its steps, and change its mind."""


@dataclass(frozen=True)
class Recognition:
    """A known optimizer with its constants, and how well it fits."""

    name: str
    """One of the library's names."""
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

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        plain = dict(vars(self)) | {"constants": dict(self.constants)}
        return plain | {"rest": None if self.rest is None else self.rest.to_json()}

    @property
    def title(self) -> str:
        """Its name without constants, for tables."""
        name = LIBRARY[self.name].title
        return name if self.rest is None else f"{name}, rest {LIBRARY[self.rest.name].title}"

    def __str__(self) -> str:
        text = LIBRARY[self.name].title + _described(self.name, self.constants)
        return text if self.rest is None else f"{text}, and {self.rest} for the rest"


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
    """Return the known optimizer that a rule is, up to a positive factor, or None.

    One that has a form is found with any constants, the others with those that the library has.
    The rule may be raw. Takes milliseconds; trains nothing.
    """
    rule = strip(rule)
    if not any("g" in s.reads for s in rule.body) and rule.update != "g":
        return None
    with np.errstate(all="ignore"):
        return _by_trajectory(rule) or (None if rule.keeps else _by_form(rule))


def _by_form(rule: Rule) -> Recognition | None:
    """Return what a known form fits, with its constants."""
    box = Box(rule)
    if box.decay is None:
        return None
    seen = box.filter()
    if seen is None:
        return None
    filter_ = Filter(snap(rounded(seen.read)), snap(rounded(seen.decay)))
    if filter_.read != 0.0 and not 0.0 < filter_.decay < 1.0:
        return None
    trial = ProbeResponse(box, filter_)
    for form in FORMS.values():
        fit = form(trial)
        if fit is not None:
            late = form(ProbeResponse(box, filter_, _LATE))
            return Recognition(**vars(fit)) if late and late.name == fit.name else None
    return None


def _by_trajectory(rule: Rule) -> Recognition | None:
    """Return the known optimizer without a form whose updates the rule's are, on many steps."""
    name = _NAMES.get(rule_fingerprint(rule))
    if name is None:
        return None
    updates, known_ones = trajectory(rule, LONG), _trajectory(name)
    largest = np.unravel_index(np.argmax(np.abs(known_ones)), known_ones.shape)
    scale = float(updates[largest] / known_ones[largest])
    apart = np.abs(updates - scale * known_ones).max() / np.abs(updates).max()
    if not (scale > 0.0 and apart <= RESIDUAL):
        return None
    return Recognition(name, {}, snap(scale), float(apart), RESIDUAL)


@cache
def _trajectory(name: str) -> Array:
    return trajectory(known(name).matrix, LONG)
