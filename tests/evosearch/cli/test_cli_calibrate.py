"""The calibration as its users meet it: stored figures, in seconds."""

import json
import math

import pytest

from evosearch.config.schema import PRESETS, preset
from evosearch.studies.calibration import concordance
from evosearch.studies.calibration.panel import panel
from evosearch.studies.calibration.results import MAP, measured, stored

FIGURES = (
    "fitted_spearman",
    "held_out_spearman",
    "decided_pairs",
    "decided_pairs_fitted",
    "hard_pairs",
    "hard_pairs_fitted",
)


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch):
    monkeypatch.setattr(concordance, "_DRAWS", 10)


def test_a_calibration_is_one_object(evosearch):
    summary = json.loads(evosearch("calibrate", "--json").stdout)
    for name in FIGURES:
        low, high = summary[f"{name}_interval"]
        assert -1.0 <= low <= high <= 1.0
        assert math.isfinite(summary[name])
    assert summary["preset"] == "foretell"
    assert summary["counts"]["decided"] == len(summary["pairs"])
    assert {t["task"] for t in summary["map"]} <= set(stored(MAP) or {})


@pytest.mark.parametrize("name", measured())
def test_a_preset_says_what_its_stored_scores_say(evosearch, name):
    assert name in PRESETS
    summary = json.loads(evosearch("calibrate", "--preset", name, "--json").stdout)
    held = [p["right_held_out"] for p in summary["pairs"]]
    hard = [p["right_held_out"] for p in summary["pairs"] if p["hard"]]
    said = preset(name).calibration
    assert said is not None
    assert said.decided == (sum(held), len(held))
    assert said.hard == (sum(hard), len(hard))
    assert said.spearman == pytest.approx(summary["held_out_spearman"], abs=0.006)
    assert sorted(summary["members"]) == sorted(panel().members)


def test_stored_scores_are_of_the_preset_as_it_is():
    for name in measured():
        config = preset(name)
        assert list(stored(name) or {}) == [str(config.task(t)) for t in config.task_names]


def test_a_calibration_is_told_and_drawn(evosearch, tmp_path):
    picture = tmp_path / "panel.svg"
    words = evosearch("calibrate", "--tasks", "two_sided_least_squares", "--plot", picture).stdout
    assert "pairs decided at scale" in words
    assert "Misjudged most" in words
    text = picture.read_text(encoding="utf-8")
    assert text.startswith("<svg ")
    assert 'xmlns="http://www.w3.org/2000/svg"' in text
    assert "soap_muon" in text


def test_what_was_not_measured_is_named_with_the_command(evosearch):
    assert (
        "calibrate --preset smoke --fresh"
        in evosearch("calibrate", "--preset", "smoke", code=2).stderr
    )
    assert (
        "--tasks digits_conv --fresh"
        in evosearch("calibrate", "--tasks", "digits_conv", code=2).stderr
    )


@pytest.mark.slow
def test_the_panel_is_scored_afresh_and_goes_on(evosearch, tmp_path):
    file = tmp_path / "scores.json"
    asked = ("calibrate", "--preset", "smoke", "--fresh", "--rounds", "1", "--results", file)
    first = evosearch(*asked, "--json").stdout
    written = file.read_text(encoding="utf-8")
    lines = written.splitlines()
    file.write_text("\n".join([*lines[:-2], "]"]).replace(",\n]", "\n]"), encoding="utf-8")
    assert json.loads(evosearch(*asked, "--json").stdout)["pairs"] == json.loads(first)["pairs"]
