"""The count of looks at held-out tasks."""

from __future__ import annotations

import pytest

from evosearch.errors import DataError
from evosearch.studies.held_out import looks, note_look


def test_looks_are_counted_and_kept(tmp_path):
    log = tmp_path / "held_out.jsonl"
    assert looks(log) == []
    assert note_look("promote", ["digits_mlp", "digits_vit"], ["a", "b"], 8, log) == 1
    before = log.read_bytes()
    assert note_look("compare", ["char_lm_2layer"], ["a"], 4, log) == 2
    assert log.read_bytes().startswith(before)
    first, second = looks(log)
    assert (first.tasks, first.purpose, first.seeds) == (("digits_vit",), "promote", 8)
    assert first.programs[0] == second.programs[0]
    assert len(set(first.programs)) == 2


def test_other_tasks_leave_no_trace(tmp_path):
    log = tmp_path / "held_out.jsonl"
    assert note_look("evaluate", ["digits_mlp", "digits_conv"], ["a"], 4, log) == 0
    assert not log.exists()


@pytest.mark.parametrize("line", ["", "{}", "[1]", '{"tasks": 3}', "nonsense"])
def test_a_damaged_log_is_refused(tmp_path, line):
    log = tmp_path / "held_out.jsonl"
    note_look("promote", ["digits_vit"], ["a"], 8, log)
    with log.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(DataError, match="line 2"):
        note_look("promote", ["digits_vit"], ["a"], 8, log)


def test_a_log_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(DataError, match="expected to note"):
        note_look("promote", ["digits_vit"], ["a"], 8, tmp_path / "missing" / "log.jsonl")
