"""An open, distributed evolutionary search for optimizers.

    import evosearch

    run = evosearch.search(evosearch.preset("smoke"), "runs/first")
    best = run.top(1)[0]
    print(best.score, best.program)

Names are imported when they are first used: `import evosearch` itself loads nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evosearch.api import compare, search
    from evosearch.config.schema import PRESETS, Config, load, preset
    from evosearch.errors import EvosearchError
    from evosearch.export.load import to_optimizer
    from evosearch.language.known import KNOWN, known
    from evosearch.language.parse import parse_rules
    from evosearch.language.rule import RuleSet
    from evosearch.runs.candidate import Candidate
    from evosearch.runs.run import Run
    from evosearch.training.module_task import task

__all__ = [
    "KNOWN",
    "PRESETS",
    "Candidate",
    "Config",
    "EvosearchError",
    "RuleSet",
    "Run",
    "compare",
    "known",
    "load",
    "parse_rules",
    "preset",
    "search",
    "task",
    "to_optimizer",
]

_HOMES = {
    "KNOWN": "language.known",
    "PRESETS": "config.schema",
    "Candidate": "runs.candidate",
    "Config": "config.schema",
    "EvosearchError": "errors",
    "RuleSet": "language.rule",
    "Run": "runs.run",
    "compare": "api",
    "known": "language.known",
    "load": "config.schema",
    "parse_rules": "language.parse",
    "preset": "config.schema",
    "search": "api",
    "task": "training.module_task",
    "to_optimizer": "export.load",
}
"""Public name to the module that defines it."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version(__name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
