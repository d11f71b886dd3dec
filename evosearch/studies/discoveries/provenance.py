"""Provenance: where a discovery comes from and what is known of it, for `discovered/NAME.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evosearch.errors import UsageError

__all__ = ["provenance"]


def provenance(
    run_directory: Path,
    id_: int,
    *,
    name: str,
    program: str | None = None,
    promotion: Mapping[str, Any] | None = None,
    note: str = "",
) -> dict[str, Any]:
    """Return where a candidate comes from and what is known of it, as plain JSON.

    Args:
        run_directory: Its run.
        id_: Its id.
        name: What to call it.
        program: What to export; by default the candidate simplified by exact laws.
        promotion: Result of `evosearch promote` on the candidate or the program.
        note: A sentence about it.

    Raises:
        UsageError: There is no such candidate, or the promotion is of something else.
    """
    from evosearch.language.parse import parse_rules
    from evosearch.runs.run import Run
    from evosearch.simplify import simplify

    run = Run.open(run_directory)
    candidate = run.candidate(id_)
    simplified = simplify(candidate.program)
    lr, rest_lr = candidate.rates
    if program is None:
        final = simplified.program
        lr = None if lr is None else float(f"{lr * simplified.factor():.2g}")
        kind = "matrix" if final.rest is None else "rest"
        rest_lr = None if rest_lr is None else float(f"{rest_lr * simplified.factor(kind):.2g}")
    else:
        final = parse_rules(program)
    texts = {candidate.genome_text, candidate.program_text, str(simplified.program), str(final)}
    verdict = run_directory / "verdict.json"
    return {
        "note": note,
        "run": {
            "manifest": {k: v for k, v in run.manifest.items() if k not in ("kind", "command")},
            "digest": run.digest(),
            "evaluations": len(run.history.candidates),
            "proposals": run.history.proposals,
        },
        "candidate": candidate.to_json() | {"seeds": candidate.seeds},
        "verdict": json.loads(verdict.read_text(encoding="utf-8")) if verdict.is_file() else None,
        "lineage": [
            {
                "id": ancestor.id,
                "parents": list(ancestor.parents),
                "mutation": ancestor.mutation,
                "score": ancestor.score,
                "program": ancestor.program_text,
            }
            for ancestor in run.history.ancestors(id_)
        ],
        "simplification": [
            f"{step.stage}: {step.identity} ({step.licence})" for step in simplified.accepted
        ],
        "export": {"program": str(final.renamed(name)), "lr": lr, "rest_lr": rest_lr},
        "promotion": None if promotion is None else _promoted(promotion, texts),
    }


def _promoted(promotion: Mapping[str, Any], texts: set[str]) -> dict[str, Any]:
    """Return what a promotion says of one program."""
    labels = [label for label, text in promotion["programs"].items() if text in texts]
    if len(labels) != 1:
        found = ", ".join(promotion["programs"])
        raise UsageError(
            f"expected the program once among the promotion's finalists, found {found}"
        )
    (label,) = labels
    kept = ("seed", "seeds", "splits", "look", "settings")
    return {
        **{key: promotion[key] for key in kept},
        "totals": promotion["totals"][label],
        "scores": promotion["scores"][label],
        "tests": [
            {key: value for key, value in row.items() if key != "finalist"}
            for row in promotion["tests"]
            if row["finalist"] == label
        ],
        "finalists": len(promotion["programs"]),
    }
