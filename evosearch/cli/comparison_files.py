"""The files of a comparison: a page, tables, and a card from which it can be done again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evosearch.cli.comparing import shown_score, unsettled
from evosearch.report.tuning_curves import tuning_curve, tuning_curves
from evosearch.runs.html import code, heading, page, paragraph, table
from evosearch.runs.manifest import hardware, revision, versions
from evosearch.storage.atomic_write import write_atomic
from evosearch.storage.parquet import write_rows
from evosearch.training.score import mean_score

if TYPE_CHECKING:
    from evosearch.studies.compare import Comparison
    from evosearch.training.tuner import Tuned

__all__ = ["curves_of", "write_comparison"]

_REFERENCE = "AdamW, the reference"


def write_comparison(folder: Path, comparison: Comparison, asked: Mapping[str, Any]) -> None:
    """Write a comparison's files.

    Args:
        folder: Made if need be; files of an earlier comparison are written over.
        comparison: What came out.
        asked: What was asked for, as plain JSON.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = {"versions": versions(), "source": revision(), "hardware": hardware()}
    card = {"asked": dict(asked), "result": comparison.to_json(), **about}
    write_atomic(folder / "card.json", json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    write_rows(folder / "seeds.parquet", _seeds(comparison))
    write_rows(folder / "trials.parquet", _trials(comparison))
    write_atomic(folder / "index.html", _page(folder, comparison))


def _all(comparison: Comparison) -> list[tuple[str, Tuned]]:
    """Return everybody's tunings with their names, the reference's first."""
    found = [(_REFERENCE, tuned) for tuned in comparison.references.values()]
    found += [(c.label, tuned) for c in comparison.contenders for tuned in c.tuned.values()]
    return [(name, tuned) for name, tuned in found if not tuned.failure]


def _seeds(comparison: Comparison) -> list[dict[str, Any]]:
    scores = {c.label: c.scores for c in comparison.contenders}
    return [
        {
            "optimizer": name,
            "task": tuned.task,
            "seed": seed,
            "value": value,
            "score": scores[name][tuned.task][k] if name in scores else 0.0,
        }
        for name, tuned in _all(comparison)
        for k, (seed, value) in enumerate(zip(tuned.seeds, tuned.values, strict=True))
    ]


def _trials(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "optimizer": name,
            "task": tuned.task,
            "program": trial.program,
            "lr": trial.lr,
            "rest_lr": trial.rest_lr,
            "level": trial.level,
            "chosen": k == tuned.best,
        }
        for name, tuned in _all(comparison)
        for k, trial in enumerate(tuned.trials)
    ]


def curves_of(comparison: Comparison, task: str) -> dict[str, list[tuple[float, float]]]:
    """Return everybody's tuning curve on a task."""
    return {
        name: tuning_curve([(trial.lr, trial.level) for trial in tuned.trials])
        for name, tuned in _all(comparison)
        if tuned.task == task
    }


def _page(folder: Path, comparison: Comparison) -> str:
    rows = [
        (
            c.label,
            c.failure or shown_score(c.total),
            *(shown_score(mean_score(s)) for s in c.scores.values()),
            *("" for _ in comparison.references if c.failure),
            "" if c.failure else c.verdict,
        )
        for c in comparison.contenders
    ]
    columns = ("optimizer", "score ± se", *comparison.references, "")
    parts = [
        table(columns, rows, text=("optimizer", "")),
        paragraph(f"A score is the log of {comparison.unit}; positive is better.", note=True),
    ]
    for task in comparison.references:
        parts += [heading(2, task), tuning_curves(curves_of(comparison, task))]
        for name, tuned in _all(comparison):
            if tuned.task == task and (remark := unsettled(tuned)):
                parts.append(paragraph(f"{name} is {remark}.", note=True))
    again = f"evosearch compare --card {shlex.quote(str(folder / 'card.json'))}"
    parts += [heading(2, "To do it again"), code(again)]
    return page("Optimizers compared", parts)
