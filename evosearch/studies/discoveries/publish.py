"""The record of discoveries: provenance files, and the exports and tables that follow from them.

Each `discovered/NAME.json` says where an optimizer comes from: the run, the program as it was
bred and simplified, its ancestors, its scores and tests. `comparisons/*.json` are what `evosearch
promote` says of all finds together, `studies/*.json` summaries of rediscovery studies,
`scale/*.json` results of scale tests. Everything else in the folder is written from these:

    python -m evosearch.studies.discoveries.publish                  write all of it again
    python -m evosearch.studies.discoveries.publish add NAME RUN ID  add a find first
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from evosearch.config.schema import preset
from evosearch.errors import EvosearchError, UsageError
from evosearch.storage.atomic_write import write_atomic
from evosearch.storage.json_record import JsonRecord
from evosearch.studies.discoveries.find import (
    BaselineResult,
    Find,
    FoundCandidate,
    PromotionResult,
    ScoreEntry,
)
from evosearch.studies.discoveries.provenance import provenance
from evosearch.studies.rediscovery.summary import StudySummary, counts_table, markdown_table
from evosearch.studies.scale.summary import ScaleSummary

__all__ = ["add", "main", "regenerate"]

FOLDER: Final = Path("discovered")
_SPLITS: Final = ("select", "held-out")

R = TypeVar("R", bound=JsonRecord)


def add(folder: Path, name: str, find: Find) -> Path:
    """Write a provenance file and return where it is.

    Raises:
        UsageError: The name cannot name a module.
    """
    if not name.isidentifier() or not name.islower():
        raise UsageError(f"expected a name in lower case such as `my_lion`, found `{name}`")
    path = folder / f"{name}.json"
    write_atomic(path, json.dumps(find.to_json(), indent=1) + "\n")
    return path


def regenerate(folder: Path) -> list[Path]:
    """Write the exports and `README.md` again; what the package itself names is kept by hand.

    Returns:
        All files written.

    Raises:
        UsageError: A provenance file is not one.
    """
    finds = _records(folder, Find)
    studies = _records(folder / "studies", StudySummary)
    scales = _records(folder / "scale", ScaleSummary)
    together = _records(folder / "comparisons", PromotionResult)
    texts = {f"{name}.py": _export(name, find) for name, find in finds.items()}
    texts["README.md"] = _readme(finds, together.values(), scales.values(), studies.values())
    for name, text in texts.items():
        write_atomic(folder / name, text)
    return [folder / name for name in texts]


def _records(folder: Path, kind: type[R]) -> dict[str, R]:
    """Return the records in a folder's files by their names, in order."""
    return {path.stem: _read(path, kind) for path in sorted(folder.glob("*.json"))}


def _read(path: Path, kind: type[R]) -> R:
    """Return the record in a file.

    Raises:
        UsageError: There is none.
    """
    try:
        return kind.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, LookupError, ValueError) as error:
        raise UsageError(f"expected {path} to hold a {kind.__name__}: {error}") from None


def _export(name: str, find: Find) -> str:
    from evosearch.export import export
    from evosearch.language.parse import parse_rules

    rules = parse_rules(find.export.program)
    found = (find.export.lr, find.export.rest_lr)
    return export(rules, name=name, provenance=f"{_origin(find)}.", found=found)


def _origin(find: Find) -> str:
    config = find.run.manifest["config"]
    start = config["start"].partition("(")[0].removeprefix("def ").strip()
    return (
        f"Candidate {find.candidate.id} of {find.run.evaluations:,}, "
        f"found from {start} with seed {config['seed']}"
    )


def _readme(
    finds: Mapping[str, Find],
    together: Iterable[PromotionResult],
    scales: Iterable[ScaleSummary],
    studies: Iterable[StudySummary],
) -> str:
    from evosearch.studies.scale.table import markdown

    lines = [
        "# Discovered optimizers",
        "",
        "Written by `make discovered` from the JSON files here; do not edit. Each module is a",
        "`torch.optim.Optimizer` that imports torch alone, and the JSON file beside it says where",
        "it comes from: run, program as bred, ancestors, scores.",
        "",
        "Scores are the log of AdamW's excess loss over the optimizer's, mean ± standard",
        "error; positive is better than AdamW. Where it says so they count in steps instead: +0.1",
        "means that AdamW would need about a tenth more steps. Search tasks chose the program;",
        "select and held-out tasks did not: there, constants are frozen, seeds fresh, and learning",
        "rates from the same grid for everybody.",
        "",
        "Sections on a single find are as of its day. Baselines then were the best of ten",
        "settings, AdamW's first beta not below .8, and the tasks called held-out were larger",
        'copies of search tasks: read "All finds against tuned baselines" first.',
        "",
        "What a search's score foretells at scale [is measured](../docs/calibration.md). Of the",
        f"preset `foretell`: {preset('foretell').foresight}.",
        "The finds below are of searches on other tasks, which foretell less.",
        "",
    ]
    for comparison in together:
        lines += [*_together(comparison, finds), ""]
    for name, find in finds.items():
        lines += _section(name, find)
    for scale in scales:
        lines += [*markdown(scale), ""]
    for study in studies:
        lines += [f"## Rediscovery: {study.target.capitalize()} from {study.start}", ""]
        lines += [f"Seeds {_range(study.seed_numbers)}; `{study.definition}`.", ""]
        lines += [*counts_table(study), ""]
    return "\n".join(lines).rstrip() + "\n"


def _together(comparison: PromotionResult, finds: Mapping[str, Find]) -> list[str]:
    """Return the lines of a section on all finds against tuned baselines."""
    from evosearch.language.library import LIBRARY
    from evosearch.studies.promote import BASELINES

    tasks = [task for names in comparison.splits.values() for task in names]
    columns = ["find", "in its search"]
    columns += [f"{LIBRARY[b].title}, {task}" for b in BASELINES for task in tasks]
    found = {(f.finalist, f.baseline): f for f in comparison.tests}
    rows = []
    for label in comparison.programs:
        name = label.removesuffix(" as found")
        cells = [label, _score(finds[name].candidate) if name in finds else ""]
        for baseline in BASELINES:
            leads = found[label, baseline].tasks
            cells += [_number(leads[t].ahead, leads[t].ahead_se) for t in tasks]
        rows.append(cells)
    settings = ", ".join(f"`{setting}`" for setting in comparison.settings)
    return [
        "## All finds against tuned baselines",
        "",
        "By how much the log excess loss is below that of AdamW, Lion and Muon, mean ± standard "
        f"error over {comparison.seeds} fresh seeds, paired. Finds keep their constants; the "
        "baselines' are tuned on each task, and everybody's learning rates, with "
        f"{comparison.trials} trials each on other seeds ({settings}). Beside it the score that "
        "each had in its search, on that search's tasks, where AdamW had fewer constants to "
        "choose from.",
        "",
        *markdown_table(columns, rows),
    ]


def _section(name: str, find: Find) -> list[str]:
    from evosearch.language.library import LIBRARY
    from evosearch.studies.promote import BASELINES

    candidate, promotion = find.candidate, find.promotion
    known = f"; recognized as {candidate.recognized}" if candidate.recognized else ""
    lines = [f"## {name}", "", f"{_origin(find)}{known}."]
    lines += [find.note] if find.note else []
    bred, program = candidate.genome.rstrip(), find.export.program.rstrip()
    if bred != program:
        lines += ["", "As bred:", "", "```python", bred, "```", "", "Simplified:"]
    lines += ["", "```python", program, "```", ""]
    unit = ", in steps" if find.run.manifest["config"].get("elasticity") else ""
    searched = [f"search{unit}", str(candidate.seeds), _score(candidate)]
    rows = [[*searched, *[""] * len(BASELINES)]]
    for split in _SPLITS:
        if promotion is None:
            break
        total = promotion.totals.get(split)
        if total is not None:
            tests = [_test(result) for result in promotion.tests if result.split == split]
            kind = _kind(split, promotion.splits[split])
            rows.append([kind, str(promotion.seeds), _score(total), *tests])
    columns = ("tasks", "seeds", "score", *(f"against {LIBRARY[name].title}" for name in BASELINES))
    lines += [*markdown_table(columns, rows), ""]
    if promotion:
        tasks = [
            f"{_kind(split, tasks)}: {', '.join(tasks)}"
            for split, tasks in promotion.splits.items()
        ]
        settings = promotion.settings
        changed = f", with {', '.join(f'`{setting}`' for setting in settings)}" if settings else ""
        lines += [
            f"Tasks of {'; '.join(tasks)}{changed}. One-sided paired tests against "
            f"baselines, Holm over {len(BASELINES) * promotion.finalists} comparisons; look "
            f"{promotion.look} at tasks that searches do not see.",
            "",
        ]
    return lines


def _kind(split: str, tasks: Sequence[str]) -> str:
    """Return what the tasks of a split are today; those once held out may be larger copies."""
    from proxy_tasks.registry import TASKS
    from proxy_tasks.task import Split

    copies = all(name in TASKS and TASKS[name].split is Split.LARGER for name in tasks)
    return Split.LARGER.value if copies else split


def _test(result: BaselineResult) -> str:
    """Return a comparison in a cell: the lead, the corrected p value and the outcome."""
    from evosearch.studies.promote import LEVEL

    outcome = "undecided"
    if result.better:
        outcome = "**better**"
    elif 1.0 - result.p < LEVEL:
        outcome = "worse"
    lead = _number(result.ahead, result.ahead_se)
    return f"{lead}, p {result.p_holm:.2g}: {outcome}"


def _score(row: FoundCandidate | ScoreEntry) -> str:
    return _number(row.score, row.score_se)


def _number(mean: float, error: float | None) -> str:
    return f"{mean:+.3f}" + ("" if error is None else f" ± {error:.3f}")


def _range(numbers: Sequence[int]) -> str:
    first, last = min(numbers), max(numbers)
    return str(first) if first == last else f"{first} to {last}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line of this module; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m evosearch.studies.discoveries.publish", description=__doc__
    )
    parser.add_argument("--folder", type=Path, default=FOLDER)
    commands = parser.add_subparsers(dest="command")
    adder = commands.add_parser("add", help="write a new provenance file")
    adder.add_argument("name", help="of the module, in lower case")
    adder.add_argument("run", type=Path)
    adder.add_argument("id", type=int)
    adder.add_argument("--program", type=Path, help="text to export instead of the simplified one")
    adder.add_argument("--promotion", type=Path, help="result of `evosearch promote -o`")
    adder.add_argument("--note", default="", help="a sentence about it")
    options = parser.parse_args(arguments)
    try:
        if options.command == "add":
            program = options.program.read_text(encoding="utf-8") if options.program else None
            promotion = _read(options.promotion, PromotionResult) if options.promotion else None
            find = provenance(
                options.run,
                options.id,
                name=options.name,
                program=program,
                promotion=promotion,
                note=options.note,
            )
            add(options.folder, options.name, find)
        for path in regenerate(options.folder):
            print(path)
    except (EvosearchError, OSError) as error:
        print(f"discovered: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
