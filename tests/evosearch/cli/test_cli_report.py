"""The report: one page that is well-formed, complete, and shows text as text."""

import json
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from evosearch.report.render import render
from evosearch.runs.candidate_excerpt import candidate_excerpt
from evosearch.runs.history import History
from evosearch.runs.html import asset, table
from evosearch.runs.recorded_baseline import RecordedBaseline
from evosearch.runs.run import Run
from evosearch.runs.svg import ChartAxis, ChartLine, ChartPoint, chart


class Page(HTMLParser):
    """Collects text, scripts and links, and refuses elements that are not closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.words, self.links, self.names, self.scripts = [], [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href")]
        self.names += [f"#{value}" for name, value in attrs if name == "id"]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_data(self, data):
        inside = self.open[-1] if self.open else ""
        (self.scripts if inside == "script" else self.words).append(data)


def test_the_report_has_what_the_run_has(evosearch, small_run, tmp_path):
    file = tmp_path / "page.html"
    assert evosearch("report", small_run, "-o", file).stdout.strip() == str(file)
    page = Page(file.read_text(encoding="utf-8"))
    run = Run.open(small_run)
    text = "\n".join(page.words)
    chosen = run.recommend()
    assert str(chosen.candidate.program.renamed(chosen.candidate.name)) in text
    assert f"It is shown because {chosen.reason}." in page.words
    for candidate in run.top(16):
        assert str(candidate.id) in page.words
    assert page.links
    assert set(page.links) <= set(page.names)  # nothing outside of the page
    assert len(page.names) == len(set(page.names))
    assert page.scripts == [asset("page.js")]  # and none but ours
    evosearch("report", small_run, "-o", file)


def test_a_run_without_results_has_a_report(small_run):
    run = Run.open(small_run)
    page = Page(render(Run(run.directory, run.manifest, History())))
    assert page.words.count("Nothing to draw yet.") == 5
    assert "No candidate has a score yet." in page.words


HOSTILE = "<script>alert(1)</script>'\"&amp;\x1b[31m\u202e\n" + 10_000 * "x"


def test_whatever_a_run_says_is_text(small_run):
    """Names, edits, messages and programs' names with markup, quotes, escapes and great length."""
    run = Run.open(small_run)
    history = History([{"kind": "fault", "message": HOSTILE}])
    for id_, candidate in run.history.candidates.items():
        history.candidates.put(replace(candidate, mutation=HOSTILE, message=HOSTILE, id=id_))
    hostile = Run(Path(f"/runs/{HOSTILE.replace('/', '')[:99]}"), run.manifest, history)
    best = run.recommend().candidate
    history.baselines[HOSTILE] = RecordedBaseline(HOSTILE, HOSTILE, (1.0,), True, None)
    hostile.evaluations = run.evaluations
    page = Page(render(hostile))
    assert page.scripts == [asset("page.js")]
    words = "".join(page.words)
    assert words.count(HOSTILE) > len(run.history.ancestors(best.id))
    assert Page(candidate_excerpt(replace(best, message=HOSTILE))).scripts == []


def test_several_runs_are_one_page(evosearch, small_run, tmp_path):
    other = shutil.copytree(small_run, tmp_path / "<b>other" / small_run.name)
    file = tmp_path / "page.html"
    assert evosearch("report", small_run, other, "-o", file).stdout.strip() == str(file)
    page = Page(file.read_text(encoding="utf-8"))
    names = [f"{path.parent.name}/{path.name}" for path in (small_run, other)]
    for name in names:
        assert page.words.count(name) == 5, "row of a figure, line, its legend, table, heading"
    chosen = Run.open(small_run).recommend().candidate
    assert page.words.count(str(chosen.program.renamed(chosen.name))) == 2
    assert page.scripts == [asset("page.js")]
    assert set(page.links) <= set(page.names)
    result = evosearch("report", small_run, other, "--curves", code=2)
    assert "expected one run with --curves" in result.stderr


def test_a_summary_of_a_study_is_shown_as_text_and_refused_where_it_is_none(
    evosearch, small_run, tmp_path
):
    study = tmp_path / "study"
    shutil.copytree(small_run, study / "evolution" / "seed-0")
    counted = {"strict": 0, "family": 0, "best": 0, "seeds": 1}
    counted |= {"strict_interval": [0.0, 0.8], "median_evaluations": None}
    arm = {"arm": HOSTILE, "strict": False, "evaluations": 4, "first": None}
    whole = counted | {"target": HOSTILE, "start": HOSTILE, "definition": HOSTILE}
    whole |= {"runs": [arm], "controls": {HOSTILE: counted}}
    summary = study / "summary.json"
    summary.write_text(json.dumps(whole), encoding="utf-8")
    evosearch("report", study)
    page = Page((study / "report.html").read_text(encoding="utf-8"))
    assert page.scripts == [asset("page.js")]
    assert "".join(page.words).count("alert(1)") > 3
    summary.write_text("{", encoding="utf-8")
    assert "expected a study's summary" in evosearch("report", study, code=2).stderr


def test_a_place_that_cannot_be_written(evosearch, small_run, tmp_path):
    result = evosearch("report", small_run, "-o", tmp_path / "no" / "page.html", code=1)
    assert "expected to write" in result.stderr


def drawn(svg):
    """Return the places of the circles by their titles."""
    root = ElementTree.fromstring(svg)
    circles = [e for e in root.iter() if e.tag == "circle"]
    return {c[0].text: (float(c.get("cx")), float(c.get("cy"))) for c in circles}


X, Y = ChartAxis("x"), ChartAxis("y", low=-1.0)


def test_points_lie_where_their_values_are():
    points = [
        ChartPoint(0, 0.0, "a"),
        ChartPoint(10, 1.0, "b"),
        ChartPoint(5, 0.5, "c <&>"),
        ChartPoint(5, -9, "low"),
    ]
    places = drawn(chart(X, Y, points))
    a, b, c, low = (places[p.title] for p in points)
    assert a[0] < c[0] < b[0]
    assert b[1] < c[1] < a[1]  # upwards is less
    assert c[0] == pytest.approx((a[0] + b[0]) / 2)
    assert c[1] == pytest.approx((a[1] + b[1]) / 2)
    assert low[1] >= a[1]
    box = ElementTree.fromstring(chart(X, Y, points)).get("viewBox")
    width, height = map(float, box.split()[2:])
    assert all(0 <= x <= width and 0 <= y <= height for x, y in places.values())


def test_a_level_is_marked_where_it_is_though_no_value_reaches_it():
    points = [ChartPoint(0, -0.7, "a"), ChartPoint(1, -0.5, "b")]
    svg = chart(X, ChartAxis("y", level=0.0), points)
    (line,) = (e for e in ElementTree.fromstring(svg).iter() if e.get("class") == "zero")
    level = float(line.get("d").split()[1].partition("H")[0])
    (_, a), (_, b) = drawn(svg).values()
    assert (b - level) / (a - level) == pytest.approx(0.5 / 0.7, abs=0.01)


def test_on_a_logarithmic_axis_equal_factors_are_equally_far():
    points = [ChartPoint(x, 0.0, f"{x}") for x in (0.001, 0.01, 0.1)]
    (a, _), (b, _), (c, _) = drawn(chart(ChartAxis("x", log=True), Y, points)).values()
    assert b - a == pytest.approx(c - b, abs=0.11) != 0


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(
    ("low", "high"), [(1, 1), (3, 3), (1e-9, 2e-9), (5, 1e6), (0.1, 0.3), (0.5, 1e300)]
)
def test_any_range_has_an_axis(low, high, log):
    points = [ChartPoint(low, high, "a"), ChartPoint(high, low, "b")]
    axis = ChartAxis("x", log=log)
    line = ChartLine([(low, high), (high, low)], "line")
    for x, y in drawn(chart(axis, axis, points, [line])).values():
        assert 0 <= x <= 560
        assert 0 <= y <= 320


def test_labels_that_would_cover_one_another_are_left_out():
    near = [ChartPoint(1.0, 1.0, "a", label="#1"), ChartPoint(1.001, 0.999, "b", label="#2")]
    far = [ChartPoint(2.0, 0.0, "c", label="#3")]
    root = ElementTree.fromstring(chart(X, Y, [*near, *far]))
    labels = [e for e in root.iter() if e.get("class") == "label"]
    assert [label.text for label in labels] == ["#1", "#3"]
    width = float(root.get("viewBox").split()[2])
    assert all(float(e.get("x")) + 8 * len(e.text) <= width for e in labels)


def test_a_column_that_is_empty_throughout_is_not_shown():
    shown = Page(table(("a", "b", "c"), [("1", "", "2"), ("3", "", "")])).words
    assert shown == ["a", "c", "1", "2", "3"]


def test_a_notebook_shows_the_finding_and_the_best(small_run):
    run = Run.open(small_run)
    excerpt = run._repr_html_()
    words = Page(excerpt).words
    assert "<math" in excerpt
    assert excerpt.count("<svg") == 1
    assert {str(candidate.id) for candidate in run.top()} <= set(words)
    assert excerpt.count("<table") == 2, "confirmed ones, and those seen once"
    assert repr(run) == f"<Run {small_run}: finished, 16 candidates>"
