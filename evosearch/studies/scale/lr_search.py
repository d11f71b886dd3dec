"""How the optimizers of a scale test score on a search's own small tasks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from evosearch.config.schema import Config
from evosearch.language.parse import parse_rules
from evosearch.storage.atomic_write import write_atomic
from evosearch.studies.compare import compare
from evosearch.workers.executor import Executor
from proxy_tasks.registry import get

__all__ = ["SEEDS", "TaskScores", "largest", "search_scores"]

SEEDS: Final = 6
"""Paired seeds a task; none of them took part in a search."""

TaskScores = Mapping[str, list[float]]
"""Scores against tuned AdamW on each task, by seed; empty for an optimizer that failed."""


def largest(config: Config) -> tuple[int, int]:
    """Return the most parameters that a task of a search has, and the most steps."""
    tasks = [get(ref.name, **ref.overrides) for tier in config.tiers_of_tasks() for ref in tier]
    parameters = max(sum(parameter.numel for parameter in task.parameters) for task in tasks)
    return parameters, max(task.steps for task in tasks)


def search_scores(
    programs: Mapping[str, str],
    config: Config,
    executor: Executor,
    path: Path,
    *,
    constants: bool = False,
    seed: int = 0,
    seeds: int = SEEDS,
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, TaskScores]:
    """Score programs on the tasks of a search, those that the file does not hold already.

    Args:
        programs: Texts by label.
        config: Of the search: its tasks, grid and reference.
        executor: Where it is computed.
        path: The file that keeps the scores, by program; of these constants alone.
        constants: Whether everybody's constants are tuned, or AdamW's alone.
        seed: What the seeds are drawn from.
        seeds: How many a task.
        report: Is told what happens, in sentences.

    Returns:
        The scores by label.
    """
    known: dict[str, TaskScores] = {}
    if path.is_file():
        known = json.loads(path.read_text(encoding="utf-8"))
    missing = [(label, text) for label, text in programs.items() if text not in known]
    if missing:
        optimizers = [(label, parse_rules(text)) for label, text in missing]
        found = compare(
            optimizers,
            config,
            executor,
            seeds=seeds,
            seed=seed,
            constants=constants,
            report=report,
        )
        by_label = {c.label: {} if c.failure else c.scores for c in found.contenders}
        known |= {text: by_label[label] for label, text in missing}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(known) + "\n")
    return {label: known[text] for label, text in programs.items()}
