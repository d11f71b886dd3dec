"""``evosearch show`` and ``evosearch diff``: one program, or two, in full."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evosearch.cli import complete
from evosearch.cli.output import AsJson, print_json, table, write
from evosearch.cli.program_words import AsGenome, Words
from evosearch.cli.reading import print_lineage
from evosearch.errors import UsageError
from evosearch.runs.named_program import NamedProgram, resolve
from evosearch.runs.progress import score_text

if TYPE_CHECKING:
    from evosearch.language.rule import Rule, RuleSet

__all__ = ["diff", "show"]

_ANCESTORS = 8
_BARS = "▁▂▃▄▅▆▇█"


def show(subject: Words, genome: AsGenome = False, as_json: AsJson = False) -> None:
    """Show a program: text, scores, lineage, equations, cost.

    Examples:
      evosearch show runs/quickstart-0 42
      evosearch show runs/quickstart-0          its best candidate
      evosearch show runs/quickstart-0 --genome
      evosearch show lion --json
      evosearch show my_optimizer.program
    """
    chosen = resolve(subject)
    shown = chosen.genome if genome else chosen.program
    facts = _facts(chosen)
    if as_json:
        print_json(facts)
        return
    _print_origin(chosen, facts)
    # A candidate's rule has the name of the start it descends from, whatever became of it.
    inherited = chosen.program.name
    name = chosen.candidate.name if chosen.candidate else inherited
    write("\nGenome:\n" if genome else "\nProgram:\n")
    write(_indented(str(shown.renamed(name))))
    for rule, lines in facts["equations"].items():
        title = name if rule == inherited else rule
        write(f"\nEquations of `{title}` (parameter {_moves(shown, rule)}):\n")
        for line in lines:
            write(f"  {line['sympy']}")
        write("\nin LaTeX:\n")
        for line in lines:
            write(f"  {line['latex']}")
    if chosen.program.rest is None:
        same = chosen.program.matrix.rank_free
        rest = "the same rule" if same else "Adam with betas 0.9 and 0.95"
        write(f"\nAll other parameters: {rest}.")
    if chosen.run and chosen.candidate:
        ancestors = chosen.run.history.ancestors(chosen.candidate.id)
        write("\nLineage:\n")
        print_lineage(ancestors[:_ANCESTORS])
        if len(ancestors) > _ANCESTORS:
            more = f"{len(ancestors) - _ANCESTORS} older ancestors"
            write(f"{more}: evosearch lineage {chosen.run.directory} {chosen.candidate.id}")


def diff(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN ID ID | A B",
            help="Two candidates, program files or names.",
            autocompletion=complete.programs,
        ),
    ],
    genome: AsGenome = False,
    as_json: AsJson = False,
) -> None:
    """Show what two programs do not have in common.

    Statements that change nothing are left out, unless genomes are asked for.

    Examples:
      evosearch diff runs/quickstart-0 17 42
      evosearch diff adamw runs/quickstart-0:42
    """
    first, second = _pair(words, genome)
    labels = (first.label, second.label)
    pairs = zip(_parts(first.program, genome), _parts(second.program, genome), strict=True)
    parts = {kind: _difference(left, right, labels) for (kind, left), (_, right) in pairs}
    if as_json:
        print_json({"first": first.label, "second": second.label, "diff": parts})
        return
    for kind, lines in parts.items():
        write(f"{kind}:\n")
        write("\n".join(lines) if lines else "The rules are the same.")
        write()


def _pair(words: list[str], genome: bool) -> tuple[NamedProgram, NamedProgram]:
    if len(words) == 3:
        run, first, second = words
        return resolve([run, first], genome), resolve([run, second], genome)
    if len(words) == 2:
        return resolve([words[0]], genome), resolve([words[1]], genome)
    raise UsageError(f"expected RUN ID ID or two programs, found {len(words)} words")


def _parts(rules: RuleSet, whole: bool) -> list[tuple[str, Rule]]:
    """Return what trains which parameters, whole or without dead statements, under one name."""
    from evosearch.language.liveness import strip

    both = (("Hidden matrices", rules.matrix), ("Everything else", _rest(rules)))
    return [(kind, (rule if whole else strip(rule)).renamed("rule")) for kind, rule in both]


def _rest(rules: RuleSet) -> Rule:
    from evosearch.language.known import default_rest

    return rules.rest or (rules.matrix if rules.matrix.rank_free else default_rest())


def _difference(left: Rule, right: Rule, labels: tuple[str, str]) -> list[str]:
    lines = (str(left).splitlines(), str(right).splitlines())
    return list(difflib.unified_diff(*lines, *labels, n=99, lineterm=""))


def _facts(subject: NamedProgram) -> dict[str, Any]:
    """Return all there is to say about a program as plain JSON."""
    from evosearch.equivalence.fingerprint import fingerprint
    from evosearch.equivalence.sense import warnings
    from evosearch.language.cost import update_cost
    from evosearch.language.liveness import strip_rules
    from evosearch.recognize.recognize import recognize

    rules = subject.program
    stripped = strip_rules(rules)
    recognized = recognize(rules)
    facts: dict[str, Any] = {
        "name": rules.name,
        "program": str(rules),
        "genome": None,
        "statements": stripped.size,
        "states": len(stripped.matrix.states),
        "state_memory": float(stripped.matrix.state_memory),
        "cost": update_cost(stripped),
        "fingerprint": fingerprint(rules),
        "recognized": str(recognized) if recognized else None,
        "warnings": {rule.name: found for rule in stripped.rules if (found := warnings(rule))},
        "equations": {
            rule.name: _equations(rule)
            for rule in (stripped.matrix, stripped.rest)
            if rule is not None
        },
    }
    if subject.run and subject.candidate:
        facts |= subject.candidate.to_json()
        facts["run"] = str(subject.run.directory)
        facts["measurements"] = [
            asdict(m) | {"seed": str(m.seed)}  # 63 bits, and JavaScript reads numbers of 53
            for m in subject.candidate.measurements
        ]
        ancestors = subject.run.history.ancestors(subject.candidate.id)
        facts["lineage"] = [candidate.id for candidate in ancestors]
    return facts


def _equations(rule: Rule) -> list[dict[str, str]]:
    from evosearch.language.latex import equations

    return [{"sympy": str(equation), "latex": equation.latex} for equation in equations(rule)]


def _print_origin(subject: NamedProgram, facts: dict[str, Any]) -> None:
    candidate = subject.candidate
    write(f"{subject.label}")
    if facts["recognized"]:
        write(f"This is       {facts['recognized']}")
    whole = f"{candidate.genome.size} in its genome" if candidate else str(subject.program.size)
    write(f"Statements    {facts['statements']} that matter, of {whole}")
    write(f"State memory  {facts['state_memory']:g} times the parameter's size")
    write(f"Cost          {facts['cost']:.3g} operations for each entry of a matrix and step")
    for rule, found in facts["warnings"].items():
        for warning in found:
            write(f"Warning       `{rule}`: {warning}")
    if candidate is None:
        return
    status = "" if candidate.status == "ok" else f"{candidate.status}: {candidate.message}"
    write(f"Score         {status or score_text(candidate.score, candidate.error)}")
    write(f"Evaluated     {candidate.rounds} times, on {candidate.seeds} seeds a task")
    write()
    assert subject.run is not None
    trials = subject.run.evaluations(candidate.id).to_pylist()
    rows = []
    for task, score in candidate.task_scores().items():
        measured = [m for m in candidate.measurements if m.task == task]
        rates = sorted({f"{m.lr:.2g} / {m.rest_lr:.2g}" for m in measured})
        edge = "at the grid's edge" if any(m.edge for m in measured) else ""
        text = score_text(score.mean, score.se)
        valley = _valley(trials, task)
        rows.append((task, text, len(measured), valley, ", ".join(rates), edge))
    left = ("task", "over rates", "best lr of matrices / rest", "flag")
    table((left[0], "score ± se", "seeds", *left[1:]), rows, left=left)
    if any(row[-1] for row in rows):
        write("At the edge: a rate beyond those tried may be better, so a score may be too low.")


def _moves(rules: RuleSet, name: str) -> str:
    """Return how a rule's update moves the weights."""
    keeps = next((rule.keeps for rule in rules.rules if rule.name == name), "")
    kept = f", then back to its {keeps}" if keeps else ""
    return f"w <- w - lr * update{kept}"


def _valley(trials: Sequence[Mapping[str, Any]], task: str) -> str:
    """Return how well a task trains at each learning rate, least first: a bar each, x diverged.

    A taller bar is a lower end value; the best ratio of the rest's rate counts at each rate.
    """
    found: dict[float, dict[float, list[float | None]]] = {}
    for trial in trials:
        if trial["task"] == task:
            rests = found.setdefault(trial["learning_rate"], {})
            rests.setdefault(trial["rest_learning_rate"], []).append(trial["value"])
    best = [
        min(
            (math.fsum(v) / len(v) for values in rests.values() if (v := _finite(values))),
            default=None,
        )
        for _, rests in sorted(found.items())
    ]
    known = sorted(v for v in best if v is not None)
    if not known:
        return ""
    low, middle = known[0], known[len(known) // 2]
    span = max(2 * (middle - low), 1e-12)
    heights = (None if v is None else round(7 * (1 - min((v - low) / span, 1.0))) for v in best)
    return "".join("x" if h is None else _BARS[h] for h in heights)


def _finite(values: Sequence[float | None]) -> list[float]:
    """Return the values of all seeds; none where one diverged."""
    known = [v for v in values if v is not None]
    return known if len(known) == len(values) else []


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" if line else "" for line in text.rstrip().splitlines())
