"""The report of a run: one HTML page that tells what was found, if it is real, and why it works.

In this order: the find, in a sentence and a formula; how sure that is; how it trains, and how much
its learning rate matters; what its update does; what is best for its size, state and cost; where
it comes from; what can be left out; how the search went; everything in full.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from evosearch.report.analysis import change, yields
from evosearch.report.curves import Curve, curve_chart, read_curves, sensitivity_chart
from evosearch.report.family_tree import FamilyTree, family_tree_chart
from evosearch.runs.candidate import Candidate
from evosearch.runs.excerpt import candidate_link, hall_of_fame, later, meaning, score_cell
from evosearch.runs.figures import (
    first_and_later,
    front_chart,
    population_chart,
    rate_chart,
    search_chart,
    task_chart,
)
from evosearch.runs.front import COSTS, Recommendation, Scored, recommend
from evosearch.runs.html import (
    Markup,
    cards,
    checks,
    code,
    details,
    figure,
    heading,
    inline,
    navigation,
    page,
    paragraph,
    section,
    table,
    tabs,
    zoomable,
)
from evosearch.runs.progress import duration, score_text
from evosearch.runs.run import Run
from evosearch.training.score import Score

__all__ = ["render"]

_LISTED: Final = 20
_IN_FULL: Final = 3
_EDGE: Final = (
    "the best learning rate is the outermost that was tried, although the grid was extended there: "
    "the score may be lower than what the program can do, and is not higher"
)
_TITLES: Final = {"statements": "by size", "state_memory": "by state", "cost": "by operations"}


def render(run: Run, live: str = "") -> str:
    """Return the page as HTML.

    Args:
        run: The run; it may be going on.
        live: Where the page is served and grows, the element that says so (`runs.html.page`).
    """
    best, once = run.top(_LISTED, confirmed=True), run.top(_LISTED, confirmed=False)
    chosen = recommend([*best, *once])
    sections = [part for part in _sections(run, best, once, chosen) if part[-1]]
    parts = [
        f"<h1>evosearch: {escape(run.directory.name)}</h1>",
        navigation((name, short) for name, short, _, _ in sections),
        *(section(name, title, parts) for name, _, title, parts in sections),
    ]
    return page(f"evosearch: {run.directory.name}", parts, live)


def _sections(
    run: Run,
    best: Sequence[Candidate],
    once: Sequence[Candidate],
    chosen: Recommendation | None,
) -> Iterable[tuple[str, str, str, list[str]]]:
    """Yield each section's name, its short and its whole title, and what is in it."""
    scored = Scored.of(run.history)
    whole = scored.whole()
    fronts = {by: [int(whole.ids[i]) for i in whole.front(by)] for by in COSTS}
    leading = (best or once)[:_IN_FULL]
    shown = {c.id: c for c in leading}
    if chosen is not None:
        winner = chosen.candidate
        shown = {winner.id: winner, **shown}
        shown |= {id_: run.candidate(id_) for id_ in fronts["statements"] if id_ not in shown}
        curves = read_curves(run, winner)
        yield "found", "Found", "What was found", [*_found(run, chosen)]
        yield "real", "Is it real?", "Is it real?", [*_real(run, winner)]
        yield "training", "Training", "How it trains", [*_training(run, winner, curves)]
        yield "update", "Update", "What the update does", [*_update(winner)]
    else:
        yield (
            "found",
            "Found",
            "What was found",
            [paragraph("No candidate has a score yet.", lead=True)],
        )
    yield "front", "Front", "The front", [*_front(run, scored, whole, fronts, chosen)]
    if chosen is not None:
        yield (
            "descent",
            "Descent",
            "Where it comes from",
            [
                *_descent(
                    run, chosen.candidate, fronts["statements"], [b.id for b in (*best, *once)]
                )
            ],
        )
        yield (
            "simplified",
            "Simplified",
            "What can be left out",
            [*_certificate(run, chosen.candidate)],
        )
    yield "search", "Search", "How the search went", [*_search(run, whole, chosen)]
    yield "fame", "Hall of fame", "Hall of fame", [*_fame(run, best, once, shown)]
    yield "programs", "Programs", "Programs", [p for c in shown.values() for p in _in_full(run, c)]
    yield "compared", "AdamW", "What it was compared with", [*_baselines(run)]
    yield "made", "Manifest", "How it was made", [*_manifest(run)]


def _found(run: Run, chosen: Recommendation) -> Iterable[str]:
    from evosearch.language.mathml import mathml

    c = chosen.candidate
    score = c.score or 0.0
    known = f" It is {c.recognized}." if c.recognized else ""
    total = f"{len(run.history.candidates):,}"
    sentence = f"Candidate {c.id} of {total}: {meaning(run, score)}.{known}"
    yield paragraph(sentence, lead=True)
    yield mathml(c.program)
    fresh = later(run, c)
    tasks = c.task_scores()
    better = sum(s.se is not None and s.mean > 2 * s.se for s in tasks.values())
    yield cards(
        (
            (score_text(score, c.error), f"score: log of {run.unit}"),
            (score_cell(fresh) or "unknown", "score on seeds that did not pick it"),
            (f"{better} of {len(tasks)}", "tasks on which it is better by two standard errors"),
            (str(c.statements), "statements"),
            (f"{c.state_memory:g}\N{MULTIPLICATION SIGN}", "state memory, in parameter sizes"),
            (f"{c.cost:.3g}", "operations for each entry of a matrix and step"),
        )
    )
    yield paragraph(f"It is shown because {chosen.reason}.", note=True)
    place = shlex.quote(str(run.directory))
    yield paragraph("Use it as a torch.optim.Optimizer:", note=True)
    yield code(f"evosearch export {place} {c.id} -o optimizer.py", "export-winner")


def _real(run: Run, c: Candidate) -> Iterable[str]:
    first, fresh = first_and_later(run, c)
    again = later(run, c)
    picked = Score(c.score or 0.0, c.error)
    rows: list[tuple[bool | None, str]] = []
    if again is None:
        rows.append((None, "It was evaluated once, on the seeds that picked it: partly luck."))
    else:
        holds = again.se is not None and again.mean > 2 * again.se
        text = f"On seeds that did not pick it: {score_text(again.mean, again.se)}"
        rows.append((holds, f"{text}, {'above' if holds else 'not above'} two standard errors."))
    tasks = c.task_scores()
    losing = [t for t, s in tasks.items() if s.se is not None and s.mean + 2 * s.se < 0]
    words = f"worse than AdamW on {', '.join(losing)}" if losing else "worse on none"
    of = f"{len(tasks)} task{'s' if len(tasks) > 1 else ''}"
    rows.append((not losing, f"Of {of} it is {words}, by two standard errors."))
    edges = list(dict.fromkeys(m.task for m in c.measurements if m.edge))
    if edges:
        rows.append((None, f"On {', '.join(edges)} {_EDGE}."))
    else:
        rows.append((True, "Its best learning rates lie inside the grids that were tried."))
    lucky = sorted(task for task, adamw in run.history.baselines.items() if adamw.edge)
    if lucky:
        rows.append(
            (
                False,
                f"AdamW's best learning rate lies at its grid's edge on {', '.join(lucky)}: "
                "better AdamW may exist there, and all scores be too high.",
            )
        )
    calibrated = run.manifest["config"].get("calibration") is not None
    told = f"What its tasks foretell: {run.foresight} (`evosearch calibrate`)."
    rows.append((True if calibrated else None, told))
    rows.append(
        (
            None,
            "The tasks picked it. Whether it holds on others, and at size, this run cannot say: "
            f"`evosearch promote {shlex.quote(str(run.directory))}` asks tasks that none saw.",
        )
    )
    yield checks(rows)
    caption = f"{c.seeds} seeds a task; the whole score is {score_text(picked.mean, picked.se)}. "
    caption += "Small: on the seeds that picked it. Large: on fresh seeds."
    yield figure(task_chart(first, fresh), caption)


def _training(run: Run, c: Candidate, curves: Sequence[Curve]) -> Iterable[str]:
    trials = run.evaluations(c.id).to_pydict()
    tasks = list(dict.fromkeys(trials["task"]))
    by_task: dict[str, list[Curve]] = {}
    for curve in curves:
        by_task.setdefault(curve.task, []).append(curve)
    if by_task:
        yield paragraph(
            "Validation over the steps, each optimizer at its own best learning rates on seeds "
            "that no search used; lines are means, bands the range over seeds."
        )
        drawn = (figure(curve_chart(cs), f"{t}: {cs[0].metric}") for t, cs in by_task.items())
        yield f'<div class="grid2">{"".join(drawn)}</div>'
        yield paragraph("How much the learning rate matters, each about its own best:")
        drawn = (figure(sensitivity_chart(cs), t) for t, cs in by_task.items())
        yield f'<div class="grid2">{"".join(drawn)}</div>'
    yield paragraph(
        "Every training of the search: the end value over the learning rate. A wide valley is easy "
        "to tune; what lies above the frame is drawn at its edge."
    )
    charts: list[str] = []
    for task in tasks:
        at = [i for i, name in enumerate(trials["task"]) if name == task]
        columns = {name: [values[i] for i in at] for name, values in trials.items()}
        baseline = run.history.baselines.get(task)
        ends = None if baseline is None else baseline.mean
        reference = None if ends is None else ends.mean
        charts.append(figure(rate_chart("end value", columns, reference), task))
    yield f'<div class="grid2">{"".join(charts)}</div>'
    if not by_task:
        command = f"evosearch report {shlex.quote(str(run.directory))} --curves"
        yield paragraph(
            "An archive has end values only. This trains it beside AdamW, Lion and Muon, and adds "
            "the curves:",
            note=True,
        )
        yield code(command, "curves-command")


def _update(c: Candidate) -> Iterable[str]:
    from evosearch.language.known import known, rest_of
    from evosearch.language.liveness import strip
    from evosearch.report.response import response_chart, spectrum_chart, state_chart

    matrix, rest = strip(c.program.matrix), strip(rest_of(c.program))
    adamw = strip(known("adamw").matrix)
    charts: list[str] = []
    if matrix.elementwise or rest.elementwise:
        rule = matrix if matrix.elementwise else rest
        whose = "every parameter" if matrix == rest else "matrices"
        whose = whose if matrix.elementwise else "everything but the hidden matrices"
        caption = (
            f"The rule for {whose}: the update that the next gradient brings, after 100 gradients "
            "of mean \N{MINUS SIGN}1, 0 or 1 with noise of size 1. A flat line is a sign of "
            "the past; a slope lets the next gradient count."
        )
        charts.append(figure(response_chart(rule), caption))
    caption = (
        "Singular values before and after, each divided by its largest: a gradient of falling "
        "spectrum with a little noise goes in. A flat line treats all directions alike."
    )
    charts.append(figure(spectrum_chart([(f"#{c.id}", matrix), ("AdamW", adamw)]), caption))
    if matrix.states:
        caption = (
            "The states of the rule for hidden matrices, and its update, while the mean of the "
            "gradient, with noise of size 1, turns from 1 to \N{MINUS SIGN}1: how fast it forgets."
        )
        charts.append(figure(state_chart(matrix), caption))
    yield f'<div class="grid2">{"".join(charts)}</div>'


def _front(
    run: Run,
    scored: Scored,
    whole: Scored,
    fronts: Mapping[str, Sequence[int]],
    chosen: Recommendation | None,
) -> Iterable[str]:
    yield paragraph(
        "Every point is a candidate; those on the line are better than all that take as much or "
        "less. Filled: confirmed on seeds that did not pick them. Hollow: seen once, partly luck. "
        "Click a point to find it in all figures; ctrl and the wheel zoom."
    )
    best = chosen.candidate.id if chosen else None
    yield tabs("by", [(_TITLES[by], figure(front_chart(whole, by, best))) for by in COSTS])
    if fewer := len(scored) - len(whole):
        yield paragraph(
            f"{fewer:,} more were evaluated on fewer tasks, and did not earn the others: their "
            "scores are of other tasks, so they are not drawn.",
            note=True,
        )
    named = [
        ", ".join(f"{_TITLES[by]}" for by in COSTS if id_ in fronts[by])
        for id_ in fronts["statements"]
    ]
    candidates = [run.candidate(id_) for id_ in fronts["statements"]]
    rows = [
        (
            candidate_link(c),
            Markup("<b>use this</b>") if c.id == best else "",
            score_text(c.score, c.error),
            score_cell(later(run, c)) if c.confirmed else "seen once",
            str(c.statements),
            f"{c.state_memory:g}",
            f"{c.cost:.3g}",
            where,
            c.recognized.title if c.recognized else "",
        )
        for c, where in zip(candidates, named, strict=True)
    ]
    columns = ("id", "", "score ± se", "later seeds", "statements", "state", "operations")
    text = ("on the front", "recognized as")
    if rows:
        yield table((*columns, *text), rows, text=text)


def _descent(run: Run, c: Candidate, front: Sequence[int], ranked: Sequence[int]) -> Iterable[str]:
    ancestors = {a.id: a for a in run.history.ancestors(c.id)}
    line = [c]
    while line[-1].parents:
        line.append(ancestors[line[-1].parents[0]])
    yield paragraph(
        f"{len(line) - 1} step{'' if len(line) == 2 else 's'} from its start, oldest first: "
        "what each changed and gained."
    )
    items: list[str] = []
    before: Candidate | None = None
    for step in reversed(line):
        others = [p for p in step.parents[1:] if p in ancestors]
        also = f", with #{', #'.join(map(str, others))}" if others else ""
        title = f"#{step.id} {step.mutation}{also}"
        items.append(
            f"<li><b>{escape(title)}</b> {escape(score_text(step.score, step.error))} "
            f"{_gain(before, step)}{_changed(run, step) if before else ''}</li>"
        )
        before = step
    shown = items if len(items) <= 24 else [*items[:2], *items[-20:]]
    if len(shown) < len(items):
        yield paragraph(f"{len(items) - len(shown)} steps in the middle are left out.", note=True)
    yield f'<ol class="steps">{"".join(shown)}</ol>'
    yield heading(3, "The family tree of the whole run")
    family = FamilyTree.of(run.history, {c.id, *front, *ranked})
    total = len(run.history.candidates)
    caption = (
        "Each point is a candidate, to the right of its first parent; the line leads to "
        f"#{c.id}. Blue: better than AdamW on all tasks. Green: on the front."
    )
    if fewer := total - len(family):
        caption += (
            f" {fewer:,} of {total:,} are left out: those with fewer than {family.fewest} "
            "descendants, unless the front, the hall of fame or the line descend from them."
        )
    yield zoomable(family_tree_chart(family, c, front), caption)


def _gain(before: Candidate | None, step: Candidate) -> str:
    if before is None or before.score is None or step.score is None:
        return ""
    if before.tier != step.tier:
        return '<span class="note">on other tasks than its parent</span>'
    gain = step.score - before.score
    return f'<span class="{"gain" if gain > 0 else "loss"}">({gain:+.3f})</span>'


def _changed(run: Run, candidate: Candidate) -> str:
    tags = {"+": "ins", "-": "del"}
    lines = (
        f"<{tags[line[0]]}>{escape(line)}</{tags[line[0]]}>" if line[:1] in tags else escape(line)
        for line in change(run, candidate).splitlines()
    )
    return f"<pre>{chr(10).join(lines)}</pre>"


def _certificate(run: Run, c: Candidate) -> Iterable[str]:
    path = run.directory / "certificates" / f"{c.id}.json"
    try:
        certificate: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        yield paragraph("Nobody asked yet. This simplifies it by exact laws, and tests the rest:")
        place = shlex.quote(str(run.directory))
        yield code(f"evosearch simplify {place} {c.id} --measure", "simplify-command")
        return
    first, last = certificate["statements"]
    yield paragraph(f"Simplified from {first} statements to {last}, step by step:")
    rows = [
        (
            step["stage"],
            inline(step["identity"]),
            "done" if step["accepted"] else "not done",
            step["licence"],
            _tested(step["test"]),
        )
        for step in certificate["steps"]
    ]
    text = ("stage", "change", "", "because", "test")
    yield table(text, rows, text=text)
    yield code(certificate["program"], "simplified-program")


def _tested(test: Mapping[str, Any] | None) -> str:
    if test is None:
        return ""
    return ", ".join(
        f"{key} {value:.3g}" for key, value in test.items() if isinstance(value, float)
    )


def _search(run: Run, whole: Scored, chosen: Recommendation | None) -> Iterable[str]:
    yield _summary(run)
    ancestors = run.history.ancestors(chosen.candidate.id) if chosen else []
    yield (
        '<div class="grid2">'
        + figure(
            search_chart(whole, ancestors), "Every point is a candidate with its score of today."
        )
        + figure(population_chart(whole), "How scores were spread as the search went on.")
        + "</div>"
    )
    found = yields(run)
    if found:
        yield heading(3, "Which edits paid")
        rows = [
            (
                name,
                f"{n.children:,}",
                f"{n.scored:,}",
                f"{n.better:,}",
                f"{n.better / n.children:.0%}",
            )
            for name, n in found.items()
        ]
        columns = ("edit", "evaluated", "with a score", "above their parent", "share")
        yield table(columns, rows, text=("edit",))
        yield paragraph(
            "Scores are noisy, and parents are picked for good ones: a share is no gain by itself.",
            note=True,
        )


def _summary(run: Run) -> str:
    history = run.history
    rate = "none" if history.hit_rate is None else f"{history.hit_rate:.1%}"
    counts = ", ".join(f"{n:,} {name}" for name, n in history.statuses().items())
    rows = [
        ("State", run.state),
        ("Started", f"{run.manifest['created']}, seed {run.manifest['seeds']['run']}"),
        ("Evaluated", f"{len(history.candidates):,} of {run.budget:,} ({counts or 'none yet'})"),
        ("Re-evaluated", f"{history.confirmations:,}"),
        ("Proposed", f"{history.proposals:,}, of which {rate} computed something known"),
        ("Worker time", duration(history.worker_seconds)),
        *(("Fault", fault) for fault in history.faults),
    ]
    words = [(Markup(f"<b>{name}</b>"), value) for name, value in rows]
    return table(("what", "value"), words, text=("what", "value"), head=False)


def _fame(
    run: Run,
    best: Sequence[Candidate],
    once: Sequence[Candidate],
    shown: Mapping[int, Candidate],
) -> Iterable[str]:
    yield from hall_of_fame(run, best, (), shown)
    if best and once:
        seen = "".join(hall_of_fame(run, (), once, shown))
        yield f"<details><summary>The best that were seen once</summary>{seen}</details>"
    else:
        yield from hall_of_fame(run, (), once, shown)
    if best:
        yield paragraph(
            "Later seeds: the score without the first evaluation, which picked the candidate out "
            "of many. Memory: state entries for each entry of a matrix.",
            note=True,
        )


def _in_full(run: Run, candidate: Candidate) -> Iterable[str]:
    from evosearch.language.formula import latex
    from evosearch.language.mathml import mathml

    name = f"c{candidate.id}"
    yield heading(3, f"Candidate {candidate.id}", name)
    facts = [score_text(candidate.score, candidate.error)]
    facts.append(f"{candidate.statements} statements, made by {candidate.mutation}")
    if candidate.recognized:
        facts.append(f"it is {candidate.recognized}")
    yield paragraph("; ".join(facts), note=True)
    yield mathml(candidate.program, step=False)
    yield code(str(candidate.program.renamed(candidate.name)), f"{name}-text")
    rows: list[tuple[str, ...]] = []
    for task, score in candidate.task_scores().items():
        measured = [m for m in candidate.measurements if m.task == task]
        rates = sorted({f"{m.lr:.2g} / {m.rest_lr:.2g}" for m in measured})
        edge = "at the grid's edge" if any(m.edge for m in measured) else ""
        rows.append((task, score_cell(score), str(len(measured)), ", ".join(rates), edge))
    columns = ("task", "score ± se", "seeds", "learning rate of matrices / rest", "flag")
    yield table(columns, rows, text=("task", "learning rate of matrices / rest", "flag"))
    place = shlex.quote(str(run.directory))
    command = f"evosearch export {place} {candidate.id} -o optimizer.py"
    text = f"{code(latex(candidate.program), f'{name}-latex')}{code(command, f'{name}-export')}"
    yield f"<details><summary>LaTeX, and how to export it</summary>{text}</details>"


def _baselines(run: Run) -> Iterable[str]:
    rows: list[tuple[str, ...]] = []
    for task, baseline in run.history.baselines.items():
        edge = "at the grid's edge" if baseline.edge else ""
        ends = "not finite" if baseline.mean is None else _plain(baseline.mean)
        rows.append((task, ends, str(len(baseline.finite)), edge))
    columns = ("task", "end value of AdamW ± se", "seeds", "flag")
    yield table(columns, rows, text=("task", "flag"))
    for task, baseline in run.history.baselines.items():
        yield details(f"AdamW on {task}", baseline.program)


def _manifest(run: Run) -> Iterable[str]:
    # A page is shown to others, whom it does not concern where things lie on this machine.
    told = {k: v for k, v in run.manifest.items() if k not in ("config", "command", "own_tasks")}
    if own := run.manifest.get("own_tasks"):
        told["own_tasks"] = [Path(path).name for path in own]
    yield details("Configuration", json.dumps(run.manifest["config"], indent=1))
    yield details("Versions and hardware", json.dumps(told, indent=1))


def _plain(score: Score) -> str:
    return f"{score.mean:.4f}" + ("" if score.se is None else f" ± {score.se:.4f}")
