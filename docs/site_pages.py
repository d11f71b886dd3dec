"""Pages of the site that are made from something else, and links that leave the docs' folder.

Called by mkdocs while it builds (`hooks` in mkdocs.yml). Commands come from the program, ops from
the table, the public API from docstrings; the changelog, the contributor's page and the discovered
optimizers are files elsewhere in the repository. None of them is kept twice.
"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
TREE: Final = "https://github.com/evosearch/evosearch/blob/main"

COPIES: Final = {
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "discovered.md": "discovered/README.md",
}
"""Page of the site to the file of the repository that it shows."""

PAGES: Final = {
    **{source: page for page, source in COPIES.items()},
    "primitives/reference.md": "ops.md",
}
"""File outside of the docs to the page where a link to it leads."""


def on_config(config: Any) -> Any:
    """List the decisions, which are the files of a folder."""
    pages = sorted(path.name for path in (ROOT / "docs" / "adr").glob("*.md"))
    (development,) = config.nav[-1].values()
    development.append({"Decisions": [f"adr/{name}" for name in pages]})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made here."""
    from mkdocs.structure.files import File

    texts = {page: (ROOT / source).read_text("utf-8") for page, source in COPIES.items()}
    texts |= {"commands.md": commands(), "ops.md": ops(), "api.md": api(), "gallery.md": gallery()}
    for page, text in texts.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links to files of the repository into links to a page, or to where the code is."""
    source = COPIES.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def link(match: re.Match[str]) -> str:
        path, hash_, anchor = match[1].partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if target.startswith("docs/"):
            place = target.removeprefix("docs/")
        elif target in PAGES:
            place = PAGES[target]
        elif (ROOT / target).exists():
            return f"]({TREE}/{target}{hash_}{anchor})"
        else:
            return match[0]  # mkdocs says what is wrong with it
        here = posixpath.dirname(page.file.src_uri) or "."
        return f"]({posixpath.relpath(place, here)}{hash_}{anchor})"

    return re.sub(r"\]\(((?!https?:|#|mailto:)[^)\s]+)\)", link, markdown)


def commands() -> str:
    """Return the page of the commands, from the program's own help."""
    import typer
    from typer.cli import get_docs_for_click

    from evosearch.cli.main import app

    command = typer.main.get_command(app)
    context = command.make_context("evosearch", ["search"], resilient_parsing=True)
    text = get_docs_for_click(obj=command, ctx=context, name="evosearch", title="Commands")
    return re.sub(r"\n+Examples:\n((?:  .*\n)+)", _example, text)


def _example(match: re.Match[str]) -> str:
    lines = (line.removeprefix("  ") for line in match[1].splitlines())
    return "\n\n**Examples**:\n\n```console\n" + "\n".join(lines) + "\n```\n"


def ops() -> str:
    """Return the page of the ops, from their table."""
    from primitives.reference import render

    return render()


def gallery() -> str:
    """Return the page of the discovered optimizers: what each is, how it does, how to use it."""
    from evosearch.runs.html import asset

    folder = ROOT / "discovered"
    comparison = json.loads((folder / "comparisons" / "quickstart.json").read_text("utf-8"))
    curves = json.loads((folder / "curves" / "gallery.json").read_text("utf-8"))
    shown = [_exhibit(path, comparison, curves) for path in sorted(folder.glob("*.json"))]
    return "\n\n".join(
        [
            "# Gallery",
            "Optimizers that searches found, each a file in `discovered/` that imports torch "
            "alone. Scores are leads over a baseline whose constants were tuned on the task, in "
            f"log excess loss, mean and two standard errors over {comparison['seeds']} paired "
            "fresh seeds. "
            "[Discovered optimizers](discovered.md) has every number and where each comes from. "
            "Curves are the validation loss on the quick start's two tasks, each at its own best "
            "learning rates, mean and range over three seeds that no search used "
            "(`python -m benchmarks.gallery_curves`).",
            f"<style>{asset('page.css')}</style>",
            *shown,
        ]
    )


def _exhibit(path: Path, comparison: dict[str, Any], curves: list[dict[str, Any]]) -> str:
    """Return a discovered optimizer's section."""
    from evosearch.language.library import LIBRARY
    from evosearch.language.mathml import mathml
    from evosearch.language.parse import parse_rules
    from evosearch.runs.svg import ChartPoint, intervals

    name, record = path.stem, json.loads(path.read_text("utf-8"))
    rules = parse_rules(record["export"]["program"])
    tests = [t for t in comparison["tests"] if t["finalist"].removesuffix(" as found") == name]
    rows: list[tuple[str, list[ChartPoint]]] = []
    worse: list[str] = []
    for test in tests:
        title = LIBRARY[test["baseline"]].title
        for task, lead in test["tasks"].items():
            mean, error = lead["ahead"], lead["ahead_se"]
            kind = "best" if mean > 2 * error else "front" if mean > -2 * error else "point"
            label = f"{title}, {task}"
            point = ChartPoint(mean, 0.0, f"{label}: {mean:+.3f} ± {error:.3f}", error, kind)
            rows.append((label, [point]))
            if mean < -2 * error:
                worse.append(f"{task} ({title} is ahead by {-mean:.3f} ± {error:.3f})")
    chart = f"<figure>{intervals('lead, ± 2 standard errors', rows)}</figure>" if rows else ""
    chart += _training(name, curves)
    source = path.with_suffix(".py").read_text("utf-8")
    (class_,) = re.findall(r'__all__ = \["(\w+)"\]', source)
    parts = [
        f"## {name}",
        record["note"],
        f'<div class="evosearch">{mathml(rules)}{chart}</div>',
    ]
    if worse:
        parts.append(f"**Not for** tasks like {'; '.join(worse)}.")
    rate = record["export"]["lr"]
    parts.append(
        "**Use it**: copy the file, or install this package.\n\n```python\n"
        f"from discovered.{name} import {class_}\n\n"
        f"optimizer = {class_}(model.named_parameters(), lr={rate:g})\n```"
    )
    return "\n\n".join(parts)


def _training(name: str, curves: list[dict[str, Any]]) -> str:
    """Return how a discovered optimizer trains beside AdamW, Lion and Muon, a figure for a task."""
    from evosearch.report.curves import Curve, curve_chart

    known = [Curve.from_json(data) for data in curves]
    figures: list[str] = []
    for task in dict.fromkeys(curve.task for curve in known):
        labels = (name, "AdamW", "Lion", "Muon")
        found = {curve.label: curve for curve in known if curve.task == task}
        drawn = curve_chart([found[label] for label in labels if label in found])
        figures.append(f"<figure>{drawn}<figcaption>{task}</figcaption></figure>")
    narrow = "grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr))"
    return f'<div class="grid2 small" style="{narrow}">{"".join(figures)}</div>'


def api() -> str:
    """Return the page of the public names, whose text is their docstrings."""
    import evosearch

    names = ["search", "compare", "preset", "load", "known", "parse_rules", "to_optimizer"]
    names += sorted(set(evosearch.__all__) - {*names, "KNOWN", "PRESETS"})
    presets = ", ".join(f"`{name}`" for name in evosearch.PRESETS)
    entries = [f"::: evosearch.{evosearch._HOMES[name]}.{name}" for name in names]
    return "\n\n".join(
        [
            "# Python",
            "All of this is imported from `evosearch` itself, and loads what it needs when it is "
            "used. `evosearch.KNOWN` has the names of the known optimizers, `evosearch.PRESETS` "
            f"those of the configurations: {presets}.",
            *entries,
        ]
    )
