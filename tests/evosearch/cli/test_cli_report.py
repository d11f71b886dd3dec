"""The report: one page that is well-formed, complete, and shows text as text."""

from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from evosearch.report.render import render
from evosearch.report.svg import ChartPoint, chart
from evosearch.runs.history import History
from evosearch.runs.run import Run


class Page(HTMLParser):
    """Collects the text, and refuses elements that are not closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.words, self.links, self.names = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href")]
        self.names += [f"#{value}" for name, value in attrs if name == "id"]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_data(self, data):
        self.words.append(data)


def test_the_report_has_what_the_run_has(evosearch, small_run, tmp_path):
    file = tmp_path / "page.html"
    assert evosearch("report", small_run, "-o", file).stdout.strip() == str(file)
    page = Page(file.read_text(encoding="utf-8"))
    run = Run.open(small_run)
    text = "\n".join(page.words)
    best = run.top(1)[0]
    assert str(best.program.renamed(best.name)) in text
    for candidate in run.top(16):
        assert str(candidate.id) in page.words
    assert page.links
    assert set(page.links) <= set(page.names)  # nothing outside of the page
    assert f"Candidate {run.top(1)[0].id} leads 16 candidates" in text
    assert "<script" not in file.read_text()
    evosearch("report", small_run, "-o", file)


def test_a_run_without_results_has_a_report(small_run):
    run = Run.open(small_run)
    page = Page(render(Run(run.directory, run.manifest, History())))
    assert page.words.count("Nothing to draw yet.") == 2


def test_markup_in_a_run_is_text(small_run):
    run = Run.open(small_run)
    history = History([{"kind": "fault", "message": "<script>alert(1)</script>"}])
    page = Page(render(Run(run.directory, run.manifest, history)))
    assert "<script>alert(1)</script>" in "".join(page.words)
    assert "script" not in page.open


def test_a_place_that_cannot_be_written(evosearch, small_run, tmp_path):
    result = evosearch("report", small_run, "-o", tmp_path / "no" / "page.html", code=1)
    assert "expected to write" in result.stderr


def drawn(svg):
    """Return the places of the circles by their titles."""
    root = ElementTree.fromstring(svg)
    circles = [e for e in root.iter() if e.tag == "circle"]
    return {c[0].text: (float(c.get("cx")), float(c.get("cy"))) for c in circles}


def test_points_lie_where_their_values_are():
    points = [
        ChartPoint(0, 0.0, "a"),
        ChartPoint(10, 1.0, "b"),
        ChartPoint(5, 0.5, "c <&>"),
        ChartPoint(5, -9, "low"),
    ]
    places = drawn(chart(points, "x", "y", bottom=-1.0))
    a, b, c, low = (places[p.title] for p in points)
    assert a[0] < c[0] < b[0]
    assert b[1] < c[1] < a[1]  # upwards is less
    assert c[0] == pytest.approx((a[0] + b[0]) / 2)
    assert c[1] == pytest.approx((a[1] + b[1]) / 2)
    assert low[1] >= a[1]
    width, height = map(
        float, ElementTree.fromstring(chart(points, "x", "y")).get("viewBox").split()[2:]
    )
    assert all(0 <= x <= width and 0 <= y <= height for x, y in places.values())


@pytest.mark.parametrize(("low", "high"), [(0, 0), (3, 3), (-1e-9, 1e-9), (-5, 1e6), (0.1, 0.3)])
def test_any_range_has_an_axis(low, high):
    places = drawn(chart([ChartPoint(low, high, "a"), ChartPoint(high, low, "b")], "x", "y"))
    assert len(places) == 2


def test_labels_that_would_cover_one_another_are_left_out():
    near = [ChartPoint(1.0, 1.0, "a", label="#1"), ChartPoint(1.001, 0.999, "b", label="#2")]
    far = [ChartPoint(2.0, 0.0, "c", label="#3")]
    root = ElementTree.fromstring(chart([*near, *far], "x", "y"))
    labels = [e for e in root.iter() if e.get("class") == "label"]
    assert [label.text for label in labels] == ["#1", "#3"]
    width = float(root.get("viewBox").split()[2])
    assert all(float(e.get("x")) + 8 * len(e.text) <= width for e in labels)


def test_a_notebook_shows_the_finding_and_the_best(small_run):
    run = Run.open(small_run)
    excerpt = run._repr_html_()
    words = Page(excerpt).words
    assert {str(candidate.id) for candidate in run.top()} <= set(words)
    assert excerpt.count("<table") == 2, "confirmed ones, and those seen once"
    assert repr(run) == f"<Run {small_run}: finished, 16 candidates>"
