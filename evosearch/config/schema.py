"""What a search is told: one frozen, validated value, from a preset or a TOML file.

The same configuration and seed give the same history. `--set a.b=c` changes one key; unknown keys
and values out of range are refused by name.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field, ValidationError, model_validator

from evosearch.config.overrides import apply, choose_tasks, explain, member, named_tasks
from evosearch.config.sections import (
    BaselineConfig,
    BudgetConfig,
    CalibrationConfig,
    EliteConfig,
    EvaluationConfig,
    Factor,
    HurdleConfig,
    PopulationConfig,
    Section,
    SpaceConfig,
    TierConfig,
    foresight,
)
from evosearch.errors import ConfigError
from evosearch.training.score import EXCESS_LOSS, STEPS

if TYPE_CHECKING:
    from evosearch.training.job import TaskRef
    from proxy_tasks.task import Task

__all__ = ["PRESETS", "Config", "configure", "load", "preset"]

PRESETS: Final = (
    "quickstart",
    "smoke",
    "discover",
    "discover-wide",
    "foretell",
    "discover-gpu",
    "rediscover-lion",
    "rediscover-lion-wide",
    "rediscover-muon",
    "rediscover-adam",
    "rediscover-orthogonalization",
    "rediscover-preconditioner",
)
"""The configurations that ship with the package."""


_SCORES: Final = ("tiers", "tasks", "evaluation", "baseline", "elasticity")
"""The sections that a score depends on."""


class Config(Section):
    """A whole search."""

    seed: int = 0
    start: str = "adamw"
    """Where the search begins: a known optimizer, or program text."""
    space: SpaceConfig = SpaceConfig()
    tiers: Annotated[tuple[TierConfig, ...], Field(min_length=1)]
    evaluation: EvaluationConfig = EvaluationConfig()
    baseline: BaselineConfig = BaselineConfig()
    population: PopulationConfig = PopulationConfig()
    hurdle: HurdleConfig = HurdleConfig()
    elites: EliteConfig = EliteConfig()
    budget: BudgetConfig = BudgetConfig()
    tasks: Mapping[str, Mapping[str, Any]] = {}
    """Fields of tasks to override, by task, for instance ``tasks.char_lm.path``."""
    elasticity: Mapping[str, Factor] = {}
    """By task, how fast AdamW's log excess loss falls with the log of its steps; `python -m
    benchmarks.elasticity` measures it. Scores on such a task count in steps instead of in loss:
    the mean over tasks is not led by those whose loss happens to fall fast. All tasks or none."""

    calibration: CalibrationConfig | None = None
    """What these scores foretell, of a preset whose scores were not changed."""

    @model_validator(mode="after")
    def _start_is_an_optimizer(self) -> Config:
        from evosearch.equivalence.fingerprint import fingerprint
        from evosearch.language.known import resolve
        from evosearch.mutation.mutate import mutate
        from evosearch.mutation.rng import Rng

        start = resolve(self.start)
        if fingerprint(start) is None:
            raise ValueError("`start` never updates the weights by its gradient, or not finitely")
        try:
            mutate(start, self.space.space(), Rng())
        except RuntimeError:
            raise ValueError(
                "no edit of `start` stays within `space`; raise `space.max_statements`, "
                "`space.max_states` or `space.max_cost`, choose another `space.scope`, or start "
                "from something smaller"
            ) from None
        return self

    @model_validator(mode="after")
    def _tasks_exist(self) -> Config:
        from proxy_tasks.registry import TASKS, get

        for name in self.task_names:
            get(name, **self.tasks.get(name, {}))
            if self.task_names.count(name) > 1:
                raise ValueError(f"task `{name}` is listed {self.task_names.count(name)} times")
        for name in self.tasks:
            member("task of this search", name, self.task_names)
        for name in self.baseline.constants:  # a preset's may be of tasks that `--set` left out
            member("task", name, TASKS)
        return self

    @model_validator(mode="after")
    def _one_unit_of_scores(self) -> Config:
        for name in self.elasticity:
            member("task of this search", name, self.task_names)
        missing = [name for name in self.task_names if name not in self.elasticity]
        if self.elasticity and missing:
            raise ValueError(
                f"`elasticity` has no figure for {', '.join(missing)}; scores of steps and of "
                "losses have no mean: give one for every task, or none "
                "(`python -m benchmarks.elasticity` measures them)"
            )
        return self

    def task(self, name: str) -> TaskRef:
        """Return a task with its overrides and the unit of its scores."""
        from evosearch.training.job import TaskRef

        return TaskRef(name, dict(self.tasks.get(name, {})), self.elasticity.get(name, 1.0))

    def tiers_of_tasks(self) -> tuple[tuple[TaskRef, ...], ...]:
        """Return the tasks of each tier."""
        return tuple(tuple(map(self.task, tier.tasks)) for tier in self.tiers)

    @property
    def unit(self) -> str:
        """What a score is the logarithm of, in words."""
        return STEPS if self.elasticity else EXCESS_LOSS

    @property
    def foresight(self) -> str:
        """How well these scores foretell what is known at scale, in words."""
        return foresight(self.calibration)

    @property
    def task_names(self) -> tuple[str, ...]:
        """All tasks, in order of tiers."""
        return tuple(name for tier in self.tiers for name in tier.tasks)


def preset(
    name: str, settings: Iterable[str] = (), tasks: Sequence[str | Path | Task] | None = None
) -> Config:
    """Return a configuration that ships with the package, with ``a.b=c`` settings applied.

    Args:
        name: One of `PRESETS`.
        settings: What to change.
        tasks: Train on these instead of its own, all of them in one tier: names, Python files that
            define ``TASKS``, or tasks.

    Raises:
        ConfigError: unknown preset or key, or a value out of range.
    """
    member("preset", name, PRESETS)
    text = files("evosearch.config.presets").joinpath(f"{name}.toml").read_text(encoding="utf-8")
    return configure(tomllib.loads(text), settings, f"preset `{name}`", tasks)


def load(
    path: Path, settings: Iterable[str] = (), tasks: Sequence[str | Path | Task] | None = None
) -> Config:
    """Return the configuration in a TOML file, with ``a.b=c`` settings applied.

    Args:
        path: The file.
        settings: What to change.
        tasks: Train on these instead of its own, all of them in one tier: names, Python files that
            define ``TASKS``, or tasks.

    Raises:
        ConfigError: no such file, not TOML, unknown key, or a value out of range.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read a configuration from {path}: {error}") from None
    return configure(data, settings, str(path), tasks)


def configure(
    data: dict[str, Any],
    settings: Iterable[str],
    origin: str,
    tasks: Sequence[str | Path | Task] | None = None,
) -> Config:
    """Return the configuration in plain data, with ``a.b=c`` settings applied.

    Args:
        data: As TOML or a run's manifest gives it; settings change it.
        settings: What to change.
        origin: Where the data comes from, for messages.
        tasks: Train on these instead of its own, all of them in one tier: names, Python files that
            define ``TASKS``, or tasks.

    Raises:
        ConfigError: unknown key, or a value out of range.
    """
    if "reference" in data:  # its name in older runs and files
        data["baseline"] = data.pop("reference")
    measured = deepcopy([data.get(section) for section in _SCORES])
    if tasks is not None:
        choose_tasks(data, named_tasks(tasks))
    for setting in settings:
        apply(data, setting)
    if measured != [data.get(section) for section in _SCORES]:
        data.pop("calibration", None)  # it was of other scores
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{origin}: {explain(error, Config)}") from None
