"""The documentation as a site: it builds without a warning and loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="`make docs` installs it")

ROOT = Path(__file__).parents[1]
LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
"""Elements that a browser loads something for, and the attribute that says what."""
HARMLESS = {"canonical", "next", "prev"}
"""Kinds of links in a page's head that load nothing."""


class Loads(HTMLParser):
    """What a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in LOADS and given.get("rel") not in HARMLESS:
            self.found.append(given.get(LOADS[tag]) or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = [page for page in site.rglob("*.html") if page.parent.name != "assets"]
    assert len(pages) > 20
    for page in pages:
        loads = Loads()
        loads.feed(page.read_text(encoding="utf-8"))
        assert loads.found, page
        away = [place for place in loads.found if re.match(r"(https?:)?//", place)]
        assert not away, f"{page} loads {away}"
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", text), sheet


def test_the_gallery_shows_every_find(site: Path) -> None:
    page = (site / "gallery.html").read_text(encoding="utf-8")
    finds = [path.stem for path in (ROOT / "discovered").glob("*.json")]
    assert len(finds) > 5
    for find in finds:
        assert f'<h2 id="{find}"' in page
        assert f"discovered.{find}" in page
    assert page.count('class="formula"') == len(finds)
    assert page.count('<svg class="chart"') == 3 * len(finds), "leads, and curves on two tasks"


def test_generated_pages_are_whole(site: Path) -> None:
    """Every command, op and public name has its heading."""
    import evosearch
    from evosearch.cli.main import app
    from primitives.table import OPS

    names = {c.callback.__name__ for c in app.registered_commands if c.callback is not None}
    commands = (site / "commands.html").read_text(encoding="utf-8")
    assert names
    for name in names:
        assert f'id="evosearch-{name}"' in commands
    ops = (site / "ops.html").read_text(encoding="utf-8")
    assert all(f'<h3 id="{name}"' in ops for name in OPS)
    api = (site / "api.html").read_text(encoding="utf-8")
    public = set(evosearch.__all__) - {"KNOWN", "PRESETS"}
    assert all(re.search(rf'<h2 id="evosearch\.[\w.]+\.{name}"', api) for name in public)
