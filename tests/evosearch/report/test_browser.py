"""Pages as a browser has them: nothing fails, nothing is asked for, and what is clicked answers.

Chromium does it, driven by Playwright; without either these tests are skipped. With
EVOSEARCH_SCREENSHOTS set to a folder the pages are also kept there as pictures, to be looked at.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from evosearch.report.live import LivePage, live_server
from evosearch.report.render import render
from evosearch.report.side_by_side import Side, side_by_side
from evosearch.runs.history import History
from evosearch.runs.run import Run
from evosearch.storage.journal import Journal, read

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the path")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@contextmanager
def opened(browser, file, width=1280, scheme="light"):
    """Open a page; afterwards nothing must have failed, and nothing been asked for but the page."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    asked, wrong = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text))
    page.goto(file.as_uri())
    yield page
    if (folder := os.environ.get("EVOSEARCH_SCREENSHOTS")) is not None:
        path = Path(folder) / f"{file.stem}-{width}-{scheme}.png"
        page.screenshot(path=path, full_page=True)
    context.close()
    assert wrong == []
    assert asked == [file.as_uri()]


@pytest.fixture(scope="module")
def report(small_run, tmp_path_factory):
    file = tmp_path_factory.mktemp("pages") / "report.html"
    file.write_text(render(Run.open(small_run)), encoding="utf-8")
    return file


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_plot_is_there_and_nothing_is_off_the_page(browser, report, width, scheme):
    with opened(browser, report, width, scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == width
        sections = page.locator("main > section").evaluate_all("all => all.map(s => s.id)")
        assert sections == [
            "found",
            "real",
            "training",
            "update",
            "front",
            "descent",
            "simplified",
            "search",
            "fame",
            "programs",
            "compared",
            "made",
        ]
        least = {"real": 1, "training": 1, "update": 2, "front": 3, "descent": 1, "search": 2}
        for name, count in least.items():
            charts = page.locator(f"#{name} svg.chart")
            assert charts.count() >= count, name
            for i in range(charts.count()):
                assert charts.nth(i).locator("circle, path.line").count() > 0
        box = page.locator("#found math").first.bounding_box()
        assert box["height"] > 10
        assert box["x"] + box["width"] <= width


@pytest.mark.parametrize("width", [1280, 390])
def test_runs_side_by_side_fit_the_page(browser, small_run, tmp_path, width):
    file = tmp_path / "several.html"
    sides = [Side(f"a/run/of/a/very/long/name-{i}", Run.open(small_run)) for i in range(7)]
    file.write_text(side_by_side("7 runs", sides), encoding="utf-8")
    with opened(browser, file, width) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.locator("#curves svg path.line").count() == 2 * len(sides)
        page.locator("#found td a").last.click()
        assert page.locator("#run6").bounding_box()["y"] < 900


def test_a_point_is_named_and_picked_in_all_figures(browser, report, small_run):
    best = Run.open(small_run).recommend().candidate
    with opened(browser, report) as page:
        point = page.locator(f'#front figure:visible circle.best[data-id="{best.id}"]')
        point.scroll_into_view_if_needed()
        point.hover(force=True)
        assert page.locator("#tip").inner_text().startswith(f"#{best.id} ")
        point.click(force=True)
        assert page.locator("circle.picked").count() >= 3
        assert page.locator("#picked a").get_attribute("href") == f"#c{best.id}"
        page.keyboard.press("Escape")
        assert page.locator("circle.picked").count() == 0
        page.locator("label", has_text="by operations").click()
        assert (
            page.locator("#front figure:visible svg")
            .get_attribute("aria-label")
            .endswith("operations of an update for each entry of a matrix")
        )


def test_ctrl_and_the_wheel_zoom_and_a_double_click_shows_all(browser, report):
    with opened(browser, report) as page:
        chart = page.locator("#front figure:visible svg")
        chart.scroll_into_view_if_needed()
        whole = chart.get_attribute("viewBox")
        chart.hover()
        page.keyboard.down("Control")
        page.mouse.wheel(0, -100)
        page.keyboard.up("Control")
        page.wait_for_function(
            "whole => document.querySelector('#front figure svg').getAttribute('viewBox') != whole",
            arg=whole,
        )
        chart.dblclick(position={"x": 5, "y": 5})
        assert chart.get_attribute("viewBox") == whole


def test_buttons_zoom_the_family_tree_and_its_points_keep_their_size(browser, report, small_run):
    with opened(browser, report) as page:
        figure = page.locator("#descent figure.zoomable")
        assert figure.locator("circle").count() == len(Run.open(small_run).history.candidates)
        whole = figure.locator("svg").get_attribute("viewBox")
        size = figure.locator("circle.best").bounding_box()["width"]
        figure.get_by_label("closer").click()
        near = figure.locator("svg").get_attribute("viewBox")
        assert float(near.split()[2]) == pytest.approx(0.6 * float(whole.split()[2]))
        again = figure.locator("circle.best").bounding_box()["width"]
        assert again == pytest.approx(size, rel=0.05)
        figure.get_by_label("the whole").click()
        assert figure.locator("svg").get_attribute("viewBox") == whole


def test_what_a_copy_button_copies_is_the_text(browser, report):
    with opened(browser, report) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.locator("#found button").click()
        page.locator("#found button", has_text="copied").wait_for()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == page.locator("#export-winner").inner_text()
        assert copied.startswith("evosearch export ")


def test_hostile_text_does_nothing(browser, small_run, tmp_path):
    hostile = "</script><img src=x onerror=alert(1)><script>alert(2)</script>\"'`${1}&amp;\x1b[0m"
    run = Run.open(small_run)
    history = History([{"kind": "fault", "message": hostile + 10_000 * "y"}])
    for candidate in run.history.candidates.values():
        history.candidates.put(replace(candidate, mutation=hostile, message=hostile))
    file = tmp_path / "hostile.html"
    file.write_text(render(Run(run.directory, run.manifest, history)), encoding="utf-8")
    with opened(browser, file, 390) as page:
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        assert page.locator("img").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.slow
def test_a_live_page_follows_a_search_that_is_killed_and_resumed(browser, tmp_path, monkeypatch):
    """The search is a process of its own; a SIGKILL ends it, and another process goes on."""
    monkeypatch.setattr("evosearch.report.live._EVERY", 0.1)
    monkeypatch.setattr("evosearch.report.live._SHARE", 1e9)
    run, many = tmp_path / "run", 40
    small = [f"budget.evaluations={many}", "budget.pack=2"]
    begin = ["search", "--preset", "smoke", "--run", str(run)]
    begin += [word for setting in small for word in ("--set", setting)]
    first = evosearch_process(begin)
    while not list(run.glob("journal/*.jsonl")):
        assert first.poll() is None
        time.sleep(0.1)
    with live_server(LivePage(run)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.set_default_timeout(300_000)
        wrong = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/")
        state = page.locator("#search table").first
        state.filter(has_text=re.compile(rf"[1-9]\d* of {many}")).wait_for()
        first.kill()
        first.wait()
        state.filter(has_text="stopped").wait_for()
        before = int(re.search(rf"(\d+) of {many}", state.inner_text())[1])
        assert 0 < before < many
        second = evosearch_process(["resume", str(run)])
        state.filter(has_text="running").wait_for()
        state.filter(has_text="finished").wait_for()
        assert f"{many} of {many}" in state.inner_text()
        assert second.wait() == 0
        server.shutdown()
        page.close()
    assert wrong == []


def evosearch_process(words):
    """Start the program with one worker."""
    command = [sys.executable, "-m", "evosearch", *words, "--workers", "1", "--quiet"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def test_a_live_page_grows_and_keeps_what_was_chosen(browser, small_run, tmp_path, monkeypatch):
    monkeypatch.setattr("evosearch.report.live._EVERY", 0.1)
    monkeypatch.setattr("evosearch.report.live._SHARE", 1e9)
    manifest, *records = (record.body for record in read(small_run))
    journal = Journal.create(tmp_path / "run", manifest)
    journal.append_many(records[:3])
    with live_server(LivePage(tmp_path / "run")) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        page = browser.new_page()
        asked, wrong = set(), []
        page.on("request", lambda request: asked.add(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        page.goto(address)
        page.locator("label", has_text="by state").click()
        page.locator("#descent").get_by_label("closer").click()
        near = page.locator("#descent svg").get_attribute("viewBox")
        before = page.locator("#search").inner_text()
        journal.append_many(records[3:])
        journal.close()
        page.locator("#search", has_text="16 of 16").wait_for()
        assert "16 of 16" not in before
        assert page.locator("label", has_text="by state").locator("visible=true").count() == 1
        assert page.locator("#by1").is_checked()
        assert page.locator("#descent svg").get_attribute("viewBox") == near != "0 0 560 300"
        server.shutdown()
        page.close()
    assert wrong == []
    assert asked == {address, f"{address}page"}
