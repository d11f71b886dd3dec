"""Provenance: where a discovery comes from and what is known of it, for `discovered/NAME.json`."""

from __future__ import annotations

import json
from pathlib import Path

from evosearch.errors import UsageError
from evosearch.studies.discoveries.find import (
    Ancestor,
    ExportedFind,
    Find,
    FoundCandidate,
    PromotedFind,
    PromotionResult,
    SourceRun,
)
from evosearch.studies.rediscovery.verdict import Verdict

__all__ = ["provenance"]


def provenance(
    run_directory: Path,
    id_: int,
    *,
    name: str,
    program: str | None = None,
    promotion: PromotionResult | None = None,
    note: str = "",
) -> Find:
    """Return where a candidate comes from and what is known of it.

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
    manifest = {k: v for k, v in run.manifest.items() if k not in ("kind", "command")}
    return Find(
        note=note,
        run=SourceRun(manifest, run.digest(), len(run.history.candidates), run.history.proposals),
        candidate=FoundCandidate.from_json(candidate.to_json() | {"seeds": candidate.seeds}),
        verdict=_verdict(run_directory / "verdict.json"),
        lineage=tuple(
            Ancestor(c.id, c.parents, c.mutation, c.score, c.program_text)
            for c in run.history.ancestors(id_)
        ),
        simplification=tuple(
            f"{step.stage}: {step.identity} ({step.licence})" for step in simplified.accepted
        ),
        export=ExportedFind(str(final.renamed(name)), lr, rest_lr),
        promotion=None if promotion is None else _promoted(promotion, texts),
    )


def _verdict(path: Path) -> Verdict | None:
    """Return the verdict that lies beside a run, if one does."""
    if not path.is_file():
        return None
    return Verdict.from_json(json.loads(path.read_text(encoding="utf-8")))


def _promoted(promotion: PromotionResult, texts: set[str]) -> PromotedFind:
    """Return what a promotion says of one program."""
    labels = [label for label, text in promotion.programs.items() if text in texts]
    if len(labels) != 1:
        found = ", ".join(promotion.programs)
        raise UsageError(
            f"expected the program once among the promotion's finalists, found {found}"
        )
    (label,) = labels
    return PromotedFind(
        seed=promotion.seed,
        seeds=promotion.seeds,
        splits=promotion.splits,
        look=promotion.look,
        settings=promotion.settings,
        totals=promotion.totals[label],
        scores=promotion.scores[label],
        tests=tuple(row.result for row in promotion.tests if row.finalist == label),
        finalists=len(promotion.programs),
    )
