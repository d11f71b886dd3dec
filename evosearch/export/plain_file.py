"""A rule set as text and as data."""

from __future__ import annotations

import json
from typing import Any

from evosearch.errors import UsageError
from evosearch.export.hyper import NamedRule, name_constants
from evosearch.export.licence import LICENCE, SPDX
from evosearch.language.liveness import strip, strip_rules
from evosearch.language.parse import valid_name
from evosearch.language.rule import Rule, RuleSet
from primitives.shape import SHAPES

__all__ = ["export_json", "export_text"]

FORMAT = 1
"""The version of the JSON form."""

_SHAPE_NAMES = {shape: name for name, shape in SHAPES.items()}


def export_text(rules: RuleSet, *, name: str | None = None) -> str:
    """Return the program's text, without redundant statements; `parse_rules` reads it.

    Raises:
        UsageError: the name cannot name a rule.
    """
    return f"# {SPDX}\n{_renamed(rules, name)}"


def export_json(rules: RuleSet, *, name: str | None = None) -> str:
    """Return a JSON object that describes the program to other programs.

    It holds the licence, the text, and of each rule its statements, states, hyperparameters and
    weight decay; ``rest`` is null where the program has one rule.

    Raises:
        UsageError: the name cannot name a rule.
    """
    rules = _renamed(rules, name)
    data = {
        "format": FORMAT,
        "license": LICENCE,
        "name": rules.name,
        "program": str(rules),
        "matrix": _rule(rules.matrix),
        "rest": None if rules.rest is None else _rule(rules.rest),
    }
    return json.dumps(data, indent=2, allow_nan=False) + "\n"


def _renamed(rules: RuleSet, name: str | None) -> RuleSet:
    rules = strip_rules(rules)
    if name is None:
        return rules
    if not valid_name(name):
        raise UsageError(f"`{name}` cannot name a rule; expected a plain name such as `my_lion`")
    return rules.renamed(name)


def _rule(rule: Rule) -> dict[str, Any]:
    named: NamedRule = name_constants(strip(rule))
    return {
        "states": [{"name": s.name, "shape": _SHAPE_NAMES[s.shape]} for s in rule.states],
        "statements": [
            {"target": s.target, "op": s.op, "arguments": list(s.args)} for s in rule.body
        ],
        "update": rule.update,
        "rank_free": rule.rank_free,
        "hyperparameters": {h.name: h.value for h in named.hypers},
        "weight_decay": named.weight_decay,
    }
