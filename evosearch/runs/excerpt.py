"""A run's finding and its hall of fame as HTML: what a notebook shows, and a report begins with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from evosearch.runs.candidate import Candidate
from evosearch.runs.html import Markup, excerpted, figure, link, paragraph, table
from evosearch.runs.progress import score_text
from evosearch.training.score import STEPS, Score, combine, mean_score

if TYPE_CHECKING:
    from evosearch.runs.run import Run

__all__ = [
    "candidate_link",
    "excerpt",
    "finding",
    "hall_of_fame",
    "later",
    "meaning",
    "score_cell",
]


def excerpt(run: Run) -> str:
    """Return the finding, the front and the ten best as HTML that is no page of its own."""
    from evosearch.language.mathml import mathml
    from evosearch.runs.figures import front_chart
    from evosearch.runs.front import Scored, recommend

    best = run.top()
    confirmed = [candidate for candidate in best if candidate.confirmed]
    once = [candidate for candidate in best if not candidate.confirmed]
    parts = [*finding(run, best)]
    if (chosen := recommend(best)) is not None:
        parts += [
            paragraph(f"Use candidate {chosen.candidate.id}: {chosen.reason}."),
            mathml(chosen.candidate.program),
            figure(front_chart(Scored.of(run.history).whole(), best=chosen.candidate.id)),
        ]
    return excerpted([*parts, *hall_of_fame(run, confirmed, once, {})])


def finding(run: Run, best: Sequence[Candidate]) -> Iterable[str]:
    """Yield paragraphs: who leads, by how much, and how sure that is."""
    if not best:
        yield paragraph("No candidate has a score yet.")
        return
    first = best[0]
    score, again = first.score or 0.0, later(run, first)
    found = (
        f"Candidate {first.id} leads {len(run.history.candidates):,} candidates with a score of "
    )
    found += f"{score_text(score, first.error)} on {_count(first.seeds, 'seed')} a task: "
    found += f"{meaning(run, score)}."
    if known := first.recognized:
        found += f" It is {known}."
    yield paragraph(found)
    if again:
        fresh = f"On the seeds after its first evaluation it scores {score_cell(again)}. "
    else:
        fresh = "It was evaluated once, on the seeds that picked it. "
    yield paragraph(
        f"{fresh}The best of many noisy scores is partly luck: `evosearch evaluate {run.directory} "
        f"{first.id} --seeds 8` measures it on seeds that no search uses, and `evosearch promote` "
        "on tasks that none saw.",
        note=True,
    )
    tasks = first.task_scores()
    losing = [task for task, s in tasks.items() if s.se is not None and s.mean + 2 * s.se < 0]
    if losing and score > 0:
        yield paragraph(f"It is worse than AdamW on {', '.join(losing)}.")


def hall_of_fame(
    run: Run,
    confirmed: Sequence[Candidate],
    once: Sequence[Candidate],
    shown: Mapping[int, Candidate],
) -> Iterable[str]:
    """Yield the best as tables, those seen once apart; those that are shown in full are linked."""
    if confirmed:
        yield paragraph("Confirmed: evaluated again, on seeds that did not pick them.", note=True)
        yield _ranked(run, confirmed, shown)
    if once:
        yield paragraph(
            "Seen once: their scores are partly luck, the best of them most.", note=True
        )
        yield _ranked(run, once, shown)


def _ranked(run: Run, best: Sequence[Candidate], shown: Mapping[int, Candidate]) -> str:
    tasks = list(dict.fromkeys(task for c in best for task in c.task_scores()))
    scores = [{task: score_cell(s) for task, s in c.task_scores().items()} for c in best]
    titles = [task.partition("[")[0] for task in tasks]
    columns = ("rank", "id", "score ± se", "later seeds", *titles, "seeds", "statements", "memory")
    rows = [
        (
            str(rank),
            candidate_link(c) if c.id in shown else str(c.id),
            score_text(c.score, c.error),
            score_cell(later(run, c)),
            *(by_task.get(task, "") for task in tasks),
            str(c.seeds),
            str(c.statements),
            f"{c.state_memory:g}",
            c.recognized.title if c.recognized else "",
        )
        for rank, (c, by_task) in enumerate(zip(best, scores, strict=True), 1)
    ]
    return table((*columns, "recognized as"), rows, text=("recognized as",))


def later(run: Run, candidate: Candidate) -> Score | None:
    """Return a candidate's score without its first evaluation, by which it was picked, or None.

    Of many candidates with noisy scores the best is better on the seeds that picked it than
    elsewhere. Later seeds are fresh, but a hall of fame is ordered by all of them together.
    """
    seeds = run.manifest["config"]["evaluation"]["seeds"]
    scores: dict[str, list[float]] = {}
    for measurement in candidate.measurements:
        if measurement.replicate >= seeds:
            scores.setdefault(measurement.task, []).append(measurement.score)
    return combine([mean_score(values) for values in scores.values()]) if scores else None


def candidate_link(candidate: Candidate) -> Markup:
    """Return a candidate's number, linked to where it is shown in full."""
    return link(str(candidate.id), f"c{candidate.id}")


def score_cell(score: Score | None) -> str:
    """Return a score for a cell of a table; nothing for none."""
    return score_text(score.mean, score.se) if score else ""


def meaning(run: Run, score: float) -> str:
    """Return what a score says, as a clause."""
    if run.unit == STEPS:
        times = f"{math.exp(score):.2f} times as many steps"
        return f"AdamW would need {times} to end at the same loss"
    less = 1 - math.exp(-abs(score))
    side = f"{less:.0%} lower than" if score >= 0 else f"{1 / (1 - less) - 1:.0%} higher than"
    return f"its excess loss at the end of training is {side} AdamW's"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
