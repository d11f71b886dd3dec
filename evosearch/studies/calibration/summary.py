"""What a calibration says, as plain JSON: figures with intervals, by source, by task, by pair."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from evosearch.studies.calibration.concordance import Concordance
from evosearch.studies.calibration.panel import Panel
from evosearch.studies.calibration.scoring import PanelScores

__all__ = ["summarize"]


def summarize(
    found: Mapping[str, PanelScores],
    panel: Panel,
    *,
    others: Mapping[str, PanelScores] = MappingProxyType({}),
    scale: Mapping[str, PanelScores] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return all figures of a preset's scores as plain JSON.

    Args:
        found: The preset's tasks.
        panel: Members and decided pairs.
        others: Tasks that are shown beside them, each alone.
        scale: A longer test of our own, for the rank correlation with it.
    """
    whole = Concordance(found, panel)
    truth, totals = whole.truth, whole.totals
    pairs = [
        {
            "better": pair.better,
            "worse": pair.worse,
            "sources": list(pair.sources),
            "hard": bool(hard),
            "named": (pair.better, pair.worse) in panel.named,
            "difference": round(totals[pair.better] - totals[pair.worse], 4),
            "right": right,
            "right_held_out": held,
        }
        for pair, hard, right, held in zip(
            truth.pairs, truth.hard, whole.hits(), whole.held_out_hits(), strict=True
        )
    ]
    order = sorted(zip(truth.levels, truth.members, strict=True), reverse=True)
    row: dict[str, Any] = {
        "members": {m: round(v, 4) for m, v in totals.items()},
        "order": [name for level, name in order if math.isfinite(level)],
    }
    figures = {
        "fitted_spearman": whole.spearman(),
        "held_out_spearman": whole.held_out_spearman(),
        "decided_pairs": whole.held_out_share(),
        "decided_pairs_fitted": whole.share(),
        "hard_pairs": whole.held_out_share(hard=True),
        "hard_pairs_fitted": whole.share(hard=True),
    }
    for name, figure in figures.items():
        row[name] = round(figure.value, 4)
        row[f"{name}_interval"] = [round(x, 4) for x in figure.interval]
    row["kendall"] = round(2 * row["decided_pairs_fitted"] - 1, 4)
    row["counts"] = {
        "members": len(truth.members),
        "decided": len(pairs),
        "hard": int(truth.hard.sum()),
    }
    row["sources"] = [_source(found, panel, source) for source in panel.sources]
    row["tasks"] = [_task(found[key], panel) for key in found]
    row["weights_with_a_family_left_out"] = {k: list(v) for k, v in whole.chosen().items()}
    row["misjudged"] = _misjudged(pairs)
    row["map"] = [_task(task, panel) for key, task in others.items() if key not in found]
    row |= _scale(whole, scale, panel)
    return row | {"pairs": pairs}


def _scale(whole: Concordance, scale: Mapping[str, PanelScores], panel: Panel) -> dict[str, Any]:
    """Return the rank correlation with a longer test of our own; None where there is none."""
    if not scale:
        return {"scale_spearman": None, "scale_spearman_interval": None, "scale": None}
    longer = Concordance(scale, panel)
    found = whole.agreement(longer)
    return {
        "scale_spearman": round(found.value, 4),
        "scale_spearman_interval": [round(x, 4) for x in found.interval],
        "scale": [_task(task, panel) for task in scale.values()],
    }


def _source(found: Mapping[str, PanelScores], panel: Panel, source: str) -> dict[str, Any]:
    part = Concordance(found, panel, panel.of(source))
    share, rank = part.share(), part.spearman()
    return {
        "source": source,
        "url": panel.sources[source],
        "pairs": len(part.truth.pairs),
        "right": sum(part.hits()),
        "share": round(share.value, 4),
        "share_interval": [round(x, 4) for x in share.interval],
        "spearman": round(rank.value, 4),
        "spearman_interval": [round(x, 4) for x in rank.interval],
    }


def _task(task: PanelScores, panel: Panel) -> dict[str, Any]:
    """Return one task's own concordance."""
    alone = Concordance({task.task: task}, panel)
    share, rank, hard = alone.share(), alone.spearman(), alone.share(hard=True)
    seconds = {
        name: round(float(np.mean([m.seconds for m in task.members[name]])), 2)
        for name in ("adamw", "muon")
        if name in task.members
    }
    return {
        "task": task.task,
        "steps": task.steps,
        "batch": task.batch,
        "pairs": len(alone.truth.pairs),
        "right": sum(alone.hits()),
        "hard": int(alone.truth.hard.sum()),
        "hard_right": int(sum(np.array(alone.hits())[alone.truth.hard])),
        "share": round(share.value, 4),
        "share_interval": [round(x, 4) for x in share.interval],
        "hard_share_interval": [round(x, 4) for x in hard.interval],
        "spearman": round(rank.value, 4),
        "spearman_interval": [round(x, 4) for x in rank.interval],
        "seconds": seconds,
        "members": {m: round(v, 4) for m, v in alone.totals.items()},
    }


def _misjudged(pairs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return who is in a wrong pair, most often first."""
    tally: dict[str, list[int]] = {}
    for pair in pairs:
        for name in (pair["better"], pair["worse"]):
            counts = tally.setdefault(name, [0, 0])
            counts[0] += not pair["right"]
            counts[1] += 1
    worst = sorted(tally.items(), key=lambda item: (-item[1][0], item[1][1]))
    return [{"member": m, "wrong": wrong, "pairs": n} for m, (wrong, n) in worst if wrong]
