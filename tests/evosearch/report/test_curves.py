"""Curves and responses: they end where the tuning ended, and show what a rule is known to do."""

import json
import re
import shutil
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from evosearch.language.known import known
from evosearch.report import curves
from evosearch.report.render import render
from evosearch.report.response import response_chart, spectrum_chart, state_chart
from evosearch.runs.run import Run


@pytest.fixture(scope="module")
def trained(small_run, tmp_path_factory):
    """A copy of the run with curves of its find and of AdamW, which alone are trained here."""
    directory = shutil.copytree(small_run, tmp_path_factory.mktemp("curves") / "run")
    run = Run.open(directory)
    candidate = run.recommend().candidate
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curves, "BASELINES", ())
        told = []
        found = curves.train_curves(run, candidate, told.append)
    assert told == [f"training #{candidate.id} on digits_mlp", "training AdamW on digits_mlp"]
    return run, candidate, found


@pytest.mark.slow
def test_a_curve_ends_at_the_best_of_the_tuning(trained):
    _, candidate, found = trained
    assert [curve.label for curve in found] == [f"#{candidate.id}", "AdamW"]
    for curve in found:
        ends = {rate: value for rate, value in curve.rates if value is not None}
        assert curve.means()[-1][1] == pytest.approx(min(ends.values()), rel=1e-6)
        assert ends[curve.lr] == min(ends.values())
        assert list(curve.steps) == sorted(set(curve.steps))
        assert all(low <= high for _, low, high in curve.spread())


@pytest.mark.slow
def test_curves_are_kept_for_this_program_and_shown(trained):
    run, candidate, found = trained
    assert curves.read_curves(run, candidate) == found
    page = render(run)
    assert "that no search used" in page
    assert "--curves" not in page
    path = run.directory / "curves" / f"{candidate.id}.json"
    kept = json.loads(path.read_text())
    path.write_text(json.dumps(kept | {"program": "def other(w, g):\n    return g\n"}))
    assert curves.read_curves(run, candidate) == []
    assert "--curves" in render(run)
    path.write_text(json.dumps(kept))


def places(svg, name):
    """Return the places that the line of a name goes through."""
    for path in ElementTree.fromstring(svg).iter("path"):
        if path.findtext("title") == name:
            pairs = re.findall(r"[ML]([\d.]+) ([\d.]+)", path.get("d"))
            return [(float(x), float(y)) for x, y in pairs]
    raise LookupError(name)


def test_the_response_of_sgd_is_a_straight_line_and_of_sign_a_step():
    line = [y for _, y in places(response_chart(known("sgd").matrix), "mean 1")]
    slopes = [b - a for a, b in pairwise(line)]
    assert max(slopes) - min(slopes) < 0.21  # places have one decimal
    assert max(slopes) < 0
    step = [y for _, y in places(response_chart(known("signsgd").matrix), "mean 0")]
    half = len(step) // 2
    assert len({*step[:half]}) == len({*step[half + 1 :]}) == 1
    assert step[0] > step[-1]


def test_momentum_remembers_and_sgd_does_not():
    momentum = response_chart(known("momentum").matrix)
    before, after = (places(momentum, f"mean {m}") for m in ("\N{MINUS SIGN}1", "1"))
    assert all(b[1] > a[1] for b, a in zip(before, after, strict=True))
    sgd = response_chart(known("sgd").matrix)
    assert places(sgd, "mean 0") == places(sgd, "mean 1")


def test_momentum_follows_a_gradient_that_turns_and_muon_keeps_its_size():
    chart = state_chart(known("momentum").matrix)
    m, update = places(chart, "m"), places(chart, "update")
    assert m == update
    assert m[49][1] < m[-1][1]  # downwards is more: it was positive, and is negative
    muon = places(state_chart(known("muon").matrix), "update")
    assert max(y for _, y in muon) - min(y for _, y in muon) < 30  # its size does not change


def test_muon_flattens_the_spectrum_and_sgd_leaves_it():
    chart = spectrum_chart([("Muon", known("muon").matrix), ("SGD", known("sgd").matrix)])
    gradient, muon, sgd = (places(chart, name) for name in ("gradient", "Muon", "SGD"))
    assert sgd == gradient
    assert muon[-1][1] - muon[0][1] < 0.2 * (gradient[-1][1] - gradient[0][1])
