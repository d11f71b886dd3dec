"""Pages of the site that are made from something else, and links that leave the docs' folder.

Called by mkdocs while it builds (`hooks` in mkdocs.yml). Commands come from the program, ops from
the table, the public API from docstrings; the changelog, the contributor's page and the discovered
optimizers are files elsewhere in the repository. None of them is kept twice.
"""

from __future__ import annotations

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
    texts |= {"commands.md": commands(), "ops.md": ops(), "api.md": api()}
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
