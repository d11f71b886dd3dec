"""A model of one's own by commands: what a search costs, and whether a find transfers."""

import json

import pytest

from evosearch.cli.new import TASK


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVOSEARCH_TASKS", "")
    path = tmp_path / "own_model.py"
    path.write_text(TASK.replace("my_task", "own_model"), encoding="utf-8")
    return path


def test_a_dry_run_says_what_a_search_costs_and_writes_nothing(evosearch, file, tmp_path):
    done = evosearch("search", "--tasks", file, "--dry-run", "--json", "--workers", 1)
    cost = json.loads(done.stdout)
    (row,) = cost["tasks"]
    assert (row["task"], row["parameters"], row["runs"]) == ("own_model", 2410, 6)
    assert cost["core_minutes"] == pytest.approx(240 * row["seconds"] / 60)
    assert not (tmp_path / "runs").exists()


def test_a_transfer_tunes_all_three_and_draws_their_curves(evosearch, file, tmp_path):
    words = ("transfer", "lion", "--task", file, "--seeds", 2, "--trials", 6)
    settings = ("--set", "tasks.own_model.steps=8", "--json")
    found = json.loads(evosearch(*words, *settings).stdout)
    assert {c["name"] for c in found["contenders"]} == {"adamw", "muon", "lion"}
    (curves,) = found["curves"].values()
    assert all(len(curves[name]) >= 5 for name in ("adamw", "muon", "lion"))
    page = (tmp_path / "transfer" / "index.html").read_text(encoding="utf-8")
    assert page.count("<path") > 3
