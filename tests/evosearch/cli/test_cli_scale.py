"""``evosearch scale``: what it prints, keeps and notes."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from evosearch.cli.main import app
from evosearch.language.known import known
from evosearch.studies.held_out import looks

TINY = {"steps": 3, "batch": 2, "width": 8, "heads": 1, "layers": 1, "context": 8}
TINY |= {"windows": 4, "megabytes": 0.2}
OPTIONS = ["--search", "smoke", "--trials", "5", "--seeds", "2"]
OPTIONS += ["--set", f"tasks={json.dumps({'char_lm_scale': TINY})}"]
NEW = "def new(w, g, m):\n    m = lerp(m, g, 0.2)\n    u = tanh(m)\n    return u, m\n"


@pytest.fixture
def scale(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new.json").write_text(json.dumps({"export": {"program": NEW}}))
    return lambda *words: CliRunner().invoke(app, ["scale", *OPTIONS, *words])


def test_it_compares_and_notes_the_look_once(scale, tmp_path):
    first = scale("new.json", "lion", "--json", "--at", "1", "--at", "0.5")
    assert first.exit_code == 0, first.output
    found = json.loads(first.stdout)
    assert list(found["optimizers"]) == ["momentum", "adamw", "lion", "muon", "new"]
    assert found["optimizers"]["new"]["program"] == NEW
    assert [row["baseline"] for row in found["optimizers"].values()] == [True] * 4 + [False]
    assert {len(row["tuning"]) for row in found["optimizers"].values()} == {5}
    assert set(found["optimizers"]["new"]["speedup"]) == {"1", "0.5"}
    assert set(found["optimizers"]["new"]["search_scores"]) == {"digits_mlp"}
    assert found["rank_correlation"]["optimizers"] == 5
    again = scale("lion")  # no more than was noted
    assert again.exit_code == 0, again.output
    assert "muon" in again.stdout
    assert "Rank correlation" in again.stdout
    assert "Best at the edge of what was tried: momentum" in again.stdout
    (look,) = looks(tmp_path / "held_out.jsonl")
    assert look.tasks == ("char_lm_scale",)
    assert look.finalists == ("new",)
    assert "5 trials each on 1 seeds" in look.plan
    assert found["look"] == 1
    assert json.loads((tmp_path / "runs/scale-char_lm_scale/result.json").read_text())["look"] == 1


def test_a_plan_trains_nothing(scale, tmp_path):
    found = scale("new.json", "--plan")
    assert found.exit_code == 0, found.output
    assert "5 optimizers, each with up to 5 trials on 1 tuning seed and 2 further" in found.stdout
    assert "up to 35 training runs" in found.stdout
    assert not (tmp_path / "runs").exists()
    assert looks(tmp_path / "held_out.jsonl") == []


def test_constants_are_tuned_on_request(scale):
    found = scale(
        *("new.json", "--tune-constants", "--trials", "9", "--search", "none", "--json"),
        *("--tuning-seeds", "2"),
    )
    assert found.exit_code == 0, found.output
    summary = json.loads(found.stdout)
    assert summary["constants_tuned"]
    assert summary["search"] is None
    rows = summary["optimizers"]
    assert {len(row["tuning"]) for row in rows.values()} == {9}
    # Each trial: constants, two rates, a level. Lion's family has three constants, `new` one.
    assert [len(rows[label]["tuning"][0]) for label in ("lion", "new")] == [3 + 3, 1 + 3]
    assert "momentum" in rows["muon"]["edges"]


def test_what_cannot_be_compared_is_refused(scale, tmp_path):
    (tmp_path / "empty.json").write_text("{}")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "new.json").write_text(
        json.dumps({"export": {"program": str(known("signum"))}})
    )
    for words, message in (
        (["empty.json"], "expected JSON that an evosearch command wrote"),
        (["new.json", "folder/new.json"], "found new twice"),
        (["--at", "1.5"], "expected --at above 0"),
    ):
        result = scale(*words)
        assert result.exit_code == 2
        assert message in result.output


def test_a_discovery_may_have_the_name_of_a_baseline(scale, tmp_path):
    (tmp_path / "lion.json").write_text(json.dumps({"export": {"program": NEW}}))
    found = scale("lion.json", "--plan")
    assert found.exit_code == 0, found.output
    assert "5 optimizers" in found.output
