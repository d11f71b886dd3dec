"""Completion in a shell: what is proposed for each word."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from evosearch.cli import complete
from evosearch.language.library import LIBRARY
from evosearch.runs.run import Run


def proposed(line, cwd):
    """Return what the program proposes to bash for the last word of a line."""
    words = line.split(" ")
    environment = {
        **os.environ,
        "_EVOSEARCH_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-c", "from evosearch.cli import main; main()"],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_presets_tasks_and_known_optimizers(tmp_path):
    assert set(complete.preset_names("")) >= {"quickstart", "smoke"}
    assert list(complete.preset_names("qu")) == ["quickstart"]
    assert list(complete.tasks("digits_mlp,char_lm_w")) == ["digits_mlp,char_lm_wide"]
    assert "digits_mlp,digits_mlp" not in complete.tasks("digits_mlp,")
    for line, word in [("search --preset qu", "quickstart"), ("show lio", "lion")]:
        assert proposed(f"evosearch {line}", tmp_path) == [word]


def test_runs_and_their_candidates(tmp_path, small_run, monkeypatch):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "first").symlink_to(small_run)
    assert proposed("evosearch show runs/fi", tmp_path) == ["runs/first"]
    assert proposed("evosearch top runs/", tmp_path) == ["runs/first"]
    best = Run.open(small_run).top(20)
    ids = proposed("evosearch show runs/first ", tmp_path)
    assert ids == [str(candidate.id) for candidate in best]
    monkeypatch.chdir(tmp_path)
    assert [id_ for id_, _ in complete.candidate_ids(small_run, "")] == [str(c.id) for c in best]
    assert list(complete.candidate_ids(tmp_path, "")) == []


def test_every_known_optimizer_is_proposed():
    words = complete.programs(SimpleNamespace(params={}), "")
    found = {word if isinstance(word, str) else word[0] for word in words}
    assert set(LIBRARY) <= found


@pytest.mark.parametrize(
    ("words", "kind", "code"), [(("show", "nothing"), "UsageError", 2), (("top", "nowhere"), "", 2)]
)
def test_errors_are_json_where_results_are(evosearch, as_json, words, kind, code):
    error = as_json(*words, code=code)["error"]
    result = evosearch(*words, code=code)
    assert error["exit_code"] == code
    assert error["kind"].startswith(kind)
    assert result.stderr == f"evosearch: {error['message']}\n"
    assert result.stdout == ""
