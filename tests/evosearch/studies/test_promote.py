"""Promotion: who is compared with whom, on which seeds, and what may be claimed."""

from __future__ import annotations

import json

import pytest
from scipy import stats
from told_scores import Teller
from typer.testing import CliRunner

from evosearch.cli.main import app
from evosearch.config.schema import configure
from evosearch.language.known import known
from evosearch.studies import promote as promotion_module
from evosearch.studies.baseline_families import FAMILIES
from evosearch.studies.held_out import looks
from evosearch.studies.promote import BASELINES, promote

SPLITS = {
    "select": ["teacher_student"],
    "held-out": ["digits_vit", "varying_batch_large", "zipf_bigram_large"],
}
NEW = "def new(w, g, m):\n    m = lerp(m, g, 0.2)\n    u = tanh(m)\n    return u, m\n"
OLD = "def old(w, g, m):\n    m = lerp(m, g, 0.3)\n    u = tanh(m)\n    return u, m\n"


def told_promotion(levels, *, noise=0.05, failing=(), seeds=6):
    told = {FAMILIES[name].start: -1.0 for name in BASELINES}
    teller = Teller({**told, **levels}, noise, failing)
    names = [name for tasks in SPLITS.values() for name in tasks]
    config = configure({"tiers": [{"tasks": names}]}, (), "a test")
    finalists = {text: text for text in levels if text in (NEW, OLD)}
    return promote(finalists, SPLITS, config, teller.executor(), seeds=seeds), teller


def findings_of(promotion, split, finalist=NEW):
    return {
        finding.baseline: finding
        for finding in promotion.tests
        if finding.split == split and finding.finalist == finalist
    }


def test_a_clear_lead_over_tuned_baselines_is_found():
    best = {"lion": 0.3, "muon": 0.6}
    levels = {FAMILIES[name].start: level for name, level in best.items()}
    promotion, _ = told_promotion({NEW: 0.5, **levels})
    found = findings_of(promotion, "held-out")
    assert {name: finding.better for name, finding in found.items()} == {
        "adamw": True,
        "lion": True,
        "muon": False,
    }
    for name, level in {"adamw": 0.0, **best}.items():
        assert found[name].lead.mean == pytest.approx(0.5 - level, abs=0.05)
        assert found[name].lead.pairs == 3 * 6
        assert set(found[name].leads) == set(SPLITS["held-out"])


def test_many_seeds_of_few_tasks_do_not_speak_of_other_tasks():
    """The same lead on three tasks is general; on a single one it is not, however sure."""
    promotion, _ = told_promotion({NEW: 0.5})
    assert findings_of(promotion, "held-out")["adamw"].general
    single = findings_of(promotion, "select")["adamw"]
    assert single.better
    assert not single.general
    assert single.p_tasks == 1.0


def test_the_interval_over_tasks_is_of_the_tasks_means():
    leads = {"a": [0.1, 0.2], "b": [0.4, 0.6], "c": [0.3, 0.2]}
    level = {task: [0.0, 0.0] for task in leads}
    scores = {NEW: leads} | {f"tuned {name}": level for name in BASELINES}
    tests = promotion_module._test("held-out", list(leads), [NEW], scores)
    means = [sum(values) / 2 for values in leads.values()]
    for row in (test.to_json() for test in tests):
        assert row["ahead"] == pytest.approx(0.3)
        expected = stats.t.interval(0.95, 2, 0.3, stats.sem(means))
        assert row["interval_over_tasks"] == pytest.approx(expected)
        p = stats.ttest_1samp(means, 0.0, alternative="greater")[1]
        assert row["p_tasks_holm"] == pytest.approx(len(BASELINES) * p)
        assert row["interval"] != pytest.approx(expected)


def test_a_lead_within_the_error_is_none():
    promotion, _ = told_promotion({NEW: 0.02}, noise=0.5)
    assert not findings_of(promotion, "held-out")["adamw"].better


def test_everybody_is_tuned_alike_on_other_seeds_than_the_result_is_of():
    _, teller = told_promotion({NEW: 0.5})
    assert len(teller.tunings) == 4 * (1 + len(BASELINES))
    assert len({job.descent for job in teller.tunings}) == 1
    for job in teller.tunings:
        assert (job.tuning, job.reporting) == (tuple(range(6)), tuple(range(6, 12)))
        frozen = job.optimizer.start == NEW
        assert (job.optimizer.axes == ()) is frozen


def test_every_comparison_of_a_split_makes_each_harder():
    levels = {NEW: 0.03}
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
    quick = 'tasks={"varying_batch_large":{"steps":2},"varying_batch_wide":{"steps":2}}'
    options = ["--seeds", "2", "--trials", "6", "--json", "-o", "out.json", "--set", quick]
    result = CliRunner().invoke(app, [*words, *options])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert json.loads((tmp_path / "out.json").read_text()) == found
    assert found["look"] == 1
    assert found["programs"] == {"lion": str(known("lion"))}
    assert {row["split"] for row in found["tests"]} == {"select", "larger"}
    assert set(found["totals"]) == {"lion", "tuned adamw", "tuned lion", "tuned muon"}
    (look,) = looks(tmp_path / "held_out.jsonl")
    assert look.tasks == ("varying_batch_large",)
    assert look.finalists == ("lion",)
    assert "6 trials each" in look.plan


@pytest.mark.parametrize("tasks", ["varying_batch_large,varying_batch_large", "nowhere"])
def test_tasks_that_are_not_there_or_twice_are_refused(tasks):
    result = CliRunner().invoke(app, ["promote", "lion", "--tasks", tasks])
    assert result.exit_code == 2
    assert "expected names of tasks" in result.output
