"""Promotion: who is compared with whom, on which seeds, and what may be claimed."""

from __future__ import annotations

import json

import pytest
from told_scores import Teller
from typer.testing import CliRunner

from evosearch.cli.main import app
from evosearch.config.schema import configure
from evosearch.language.known import known
from evosearch.studies.baseline_families import FAMILIES
from evosearch.studies.held_out import looks
from evosearch.studies.promote import BASELINES, promote

SPLITS = {"select": ["teacher_student"], "held-out": ["varying_batch_large", "digits_vit"]}
NEW = "def new(w, g, m):\n    m = lerp(m, g, 0.2)\n    u = tanh(m)\n    return u, m\n"
OLD = "def old(w, g, m):\n    m = lerp(m, g, 0.3)\n    u = tanh(m)\n    return u, m\n"


def told_promotion(levels, *, noise=0.05, failing=(), seeds=6):
    told = {text: -1.0 for name in BASELINES for text in FAMILIES[name]}
    teller = Teller({**told, **levels}, noise, failing)
    names = [name for tasks in SPLITS.values() for name in tasks]
    config = configure({"tiers": [{"tasks": names}]}, (), "a test")
    finalists = {text: text for text in levels if text in (NEW, OLD)}
    return promote(finalists, SPLITS, config, teller.executor(), seeds=seeds), teller


def findings_of(promotion, split, finalist=NEW):
    return {
        finding.baseline: finding
        for finding in promotion.findings
        if finding.split == split and finding.finalist == finalist
    }


def test_a_clear_lead_over_tuned_baselines_is_found():
    best = {"adamw": 0.0, "lion": 0.3, "muon": 0.6}
    levels = {FAMILIES[name][3]: level for name, level in best.items()}
    promotion, _ = told_promotion({NEW: 0.5, **levels})
    found = findings_of(promotion, "held-out")
    assert {name: finding.better for name, finding in found.items()} == {
        "adamw": True,
        "lion": True,
        "muon": False,
    }
    for name, level in best.items():
        assert found[name].lead.mean == pytest.approx(0.5 - level, abs=0.05)
        assert found[name].lead.pairs == 2 * 6
        assert promotion.tuned["digits_vit"][name] == FAMILIES[name][3]


def test_a_lead_within_the_error_is_none():
    promotion, _ = told_promotion({NEW: 0.02, FAMILIES["adamw"][0]: 0.0}, noise=0.5)
    assert not findings_of(promotion, "held-out")["adamw"].better


def test_baselines_are_tuned_on_other_seeds_than_they_are_tested_on():
    best = {name: FAMILIES[name][3] for name in BASELINES}
    _, teller = told_promotion({NEW: 0.5, **dict.fromkeys(best.values(), 0.0)})
    tuning, testing = ({t for t, first in teller.evaluated if first == k} for k in (0, 6))
    assert tuning == {text for name in BASELINES for text in FAMILIES[name]}
    assert testing == {NEW, *best.values()}


def test_every_comparison_of_a_split_makes_each_harder():
    levels = {NEW: 0.03, FAMILIES["adamw"][0]: 0.0}
    alone, _ = told_promotion(levels)
    together, _ = told_promotion({**levels, OLD: -0.5})
    lone, joint = (findings_of(p, "held-out")["adamw"] for p in (alone, together))
    assert lone.lead == joint.lead
    assert joint.p > lone.p >= lone.lead.p


def test_a_finalist_that_fails_loses():
    promotion, _ = told_promotion({NEW: 0.5}, failing=[NEW])
    found = findings_of(promotion, "select")
    assert not any(finding.better for finding in found.values())
    assert promotion.total(NEW, "select")[0] == -10.0


def test_the_command_notes_the_look_and_writes_its_result(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["promote", "lion", "--tasks", "varying_batch_large,varying_batch_wide"]
    quick = ["evaluation.rates=3", "evaluation.extensions=0"]
    quick += ['tasks={"varying_batch_large":{"steps":2},"varying_batch_wide":{"steps":2}}']
    options = ["--seeds", "2", "--json", "-o", "out.json"]
    for setting in quick:
        options += ["--set", setting]
    result = CliRunner().invoke(app, [*words, *options])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert json.loads((tmp_path / "out.json").read_text()) == found
    assert found["look"] == 1
    assert found["programs"] == {"lion": str(known("lion"))}
    assert {row["split"] for row in found["findings"]} == {"select", "held-out"}
    assert set(found["totals"]) == {"lion", "tuned adamw", "tuned lion", "tuned muon"}
    (look,) = looks(tmp_path / "held_out.jsonl")
    assert look["tasks"] == ["varying_batch_large"]


@pytest.mark.parametrize("tasks", ["varying_batch_large,varying_batch_large", "nowhere"])
def test_tasks_that_are_not_there_or_twice_are_refused(tasks):
    result = CliRunner().invoke(app, ["promote", "lion", "--tasks", tasks])
    assert result.exit_code == 2
    assert "expected names of tasks" in result.output
