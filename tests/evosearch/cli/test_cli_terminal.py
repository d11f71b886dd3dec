"""What a terminal is shown: no escape sequence of anybody's, no endless line, and full disks."""

import json
import os
import subprocess
import sys

import pytest

from evosearch.runs.printable import escaped, plain
from evosearch.storage.journal import Journal

HOSTILE = "\x1b]0;owned\x07 \x9b2J \r \u202egnp \x08 \ud800 é ± 日本\n\ttext"


def test_what_a_terminal_would_obey_is_written_out():
    shown = plain(HOSTILE)
    assert shown == ("\\x1b]0;owned\\x07 \\x9b2J \\r \\u202egnp \\x08 \\ud800 é ± 日本\n\ttext")
    assert plain(shown) == shown


def test_json_means_the_same_without_such_characters():
    value = {HOSTILE.replace("\ud800", ""): ["\x9b", "\U000e0001", "é"]}
    text = escaped(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(text) == value
    assert not {"\x1b", "\x9b", "\x07", "\u202e", "\U000e0001"} & set(text)


@pytest.mark.parametrize("words", [("status",), ("status", "--json"), ("top",), ("verify",)])
def test_a_hostile_run_directory_is_shown_and_not_obeyed(tmp_path, evosearch, small_run, words):
    import shutil

    directory = shutil.copytree(small_run, tmp_path / "run\x1b[31m")
    with Journal.open(directory) as journal:
        journal.append({"kind": "fault", "message": "\x1b]0;owned\x07 \x9b2J"})
    result = evosearch(words[0], directory, *words[1:])
    assert not {"\x1b", "\x9b", "\x07"} & set(result.stdout + result.stderr)
    if words == ("status",):
        assert "\\x1b]0;owned\\x07 \\x9b2J" in result.stdout


def shell(line, **options):
    """Run the command line in a shell, where its streams can be anything."""
    command = line.replace("evosearch", f"{sys.executable} -m evosearch")
    return subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False, **options
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device here")
@pytest.mark.parametrize(
    "words",
    [
        "primitives",
        *(pytest.param(w, marks=pytest.mark.slow) for w in ("show lion", "tasks --json")),
    ],
)
def test_a_full_disk_behind_stdout_is_no_defect(words):
    done = shell(f"evosearch {words} > /dev/full")
    assert done.returncode == 1
    assert "results could not be written to stdout: No space left" in done.stderr
    assert "internal error" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_closed_stdout_is_no_defect():
    done = shell("evosearch primitives lerp >&-")
    assert (done.returncode, done.stderr) == (
        1,
        "evosearch: results go to stdout, which is closed\n",
    )


def test_a_reader_that_has_seen_enough_is_no_defect():
    done = shell("evosearch primitives | head -n 1 > /dev/null")
    assert done.stderr == ""


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path, evosearch):
    program = tmp_path / "idea.program"
    program.write_bytes(b"\xef\xbb\xbfdef f(w, g):\n    u = sign(g)\n    return u\n")
    assert "sign" in evosearch("show", program).stdout
    assert "sign" in evosearch("show", "-", stdin=program.read_text()).stdout
    config = tmp_path / "my.toml"
    config.write_bytes(b'\xef\xbb\xbftiers = [{tasks = ["digits_mlp"]}]\nsede = 3\n')
    assert "did you mean `seed`?" in evosearch("search", "--config", config, code=2).stderr


def test_a_place_in_a_long_line_is_shown_and_not_the_line(tmp_path, evosearch):
    file = tmp_path / "long.program"
    file.write_text("def f(w, g):\n    u = sign(g)" + " " * 5000 + "?" + " + g" * 2000 + "\n")
    message = evosearch("show", file, code=2).stderr
    assert "line 2" in message
    *_, shown, caret = message.rstrip("\n").splitlines()
    assert len(shown) < 140
    assert shown[caret.index("^")] == "?"
