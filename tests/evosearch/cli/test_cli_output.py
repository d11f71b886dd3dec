"""Tables: readable where there is room, and never wrong where there is none."""

import io
import sys

import pytest

from evosearch.cli import output

COLUMNS = ("id", "score ± se", "made by")
ROWS = [(13, "+0.050 ± 0.037", "change_constant in rest"), (1, "none", "start")]


def printed(monkeypatch, width, encoding="utf-8", columns=COLUMNS, rows=ROWS):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        patch.setattr(output, "_width", lambda: width)
        output.table(columns, rows, left=("made by",))
    stream.seek(0)
    return stream.read().splitlines()


def test_a_table_with_room_has_a_line_for_each_row(monkeypatch):
    assert printed(monkeypatch, 80) == [
        "id       score ± se   made by",
        "─" * 45,
        "13   +0.050 ± 0.037   change_constant in rest",
        " 1             none   start",
    ]


@pytest.mark.parametrize("width", [1, 10, 38, 39])
def test_without_room_words_wrap_and_nothing_is_cut(monkeypatch, width):
    lines = printed(monkeypatch, width)
    assert lines[2:4] == ["13   +0.050 ± 0.037   change_constant", " " * 22 + "in rest"]
    assert lines[4] == " 1             none   start"


WIDE = ("", "id", "score ± se", "nothing", "statements", "made by")


def test_a_wide_table_is_paragraphs_on_a_narrow_terminal(monkeypatch):
    rows = [(">", 13, "+0.050 ± 0.037", "", 12, "insert"), ("", 4, "none", "", 9, "start")]
    wide = printed(monkeypatch, 80, columns=WIDE, rows=rows)
    assert wide[0] == "    id       score ± se   statements   made by"
    assert printed(monkeypatch, 38, columns=WIDE, rows=rows) == [
        "> id 13; score ± se +0.050 ± 0.037",
        "  statements 12; made by insert",
        "id 4; score ± se none; statements 9",
        "  made by start",
    ]


def test_where_there_are_no_such_signs_plain_ones_stand_in(monkeypatch):
    lines = printed(monkeypatch, 80, "ascii")
    assert lines[2] == "13   +0.050 +- 0.037   change_constant in rest"
    assert set(lines[1]) == {"-"}
    assert lines[0].index("made by") == lines[2].index("change_constant")
