"""What cannot be done as asked: one paragraph on stderr, exit code 2, and nothing is written."""

import os
import shutil
import signal
import time

import pytest

from evosearch.runs.run import Run

BAD_SEARCHES = {
    "no preset": ((), "expected either --preset (quickstart, "),
    "two configurations": (("--preset", "smoke", "--config", "x.toml"), "either --preset"),
    "preset": (("--preset", "quikstart"), "did you mean `quickstart`?"),
    "file": (("--config", "nothing.toml"), "nothing.toml"),
    "key": (
        ("--preset", "smoke", "--set", "budget.evaluation=5"),
        "unknown key `budget.evaluation`",
    ),
    "setting": (("--preset", "smoke", "--set", "budget"), "expected `key=value`"),
    "value": (("--preset", "smoke", "--set", "budget.pack=0"), "`budget.pack`"),
    "task": (("--preset", "smoke", "--set", 'tiers=[{"tasks":["digit_mlp"]}]'), "`digits_mlp`?"),
    "field": (("--preset", "smoke", "--set", "tasks.digits_mlp.stepz=5"), "'steps'?"),
    "op": (("--preset", "smoke", "--set", 'space.ops=["sgn"]'), "did you mean `sign`?"),
    "start": (("--preset", "smoke", "--set", "start=lino"), "did you mean `lion`?"),
    "program": (("--preset", "smoke", "--set", "start=def f(w, g): return h"), "`h`"),
    "data": (
        (
            "--preset=smoke",
            '--set=tiers=[{"tasks":["char_lm"]}]',
            "--set=tasks.char_lm.path=/nothing.txt",
        ),
        "expected a text file at /nothing.txt",
    ),
    "address": (("--preset", "smoke", "--address", "nonsense"), "HOST:PORT"),
    "nobody": (("--preset", "smoke", "--address", "127.0.0.1:1"), "no Ray cluster answers"),
}


def one_paragraph(text):
    assert text.startswith("evosearch: ")
    assert "Traceback" not in text
    return "\n\n" not in text.strip()


@pytest.mark.parametrize("case", BAD_SEARCHES)
def test_a_bad_search_writes_nothing(tmp_path, monkeypatch, evosearch, case):
    monkeypatch.chdir(tmp_path)
    words, expected = BAD_SEARCHES[case]
    result = evosearch("search", "--quiet", *words, code=2)
    assert expected in result.stderr
    assert one_paragraph(result.stderr)
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.ray
def test_gpus_that_are_not_there(tmp_path, evosearch):
    directory = tmp_path / "run"
    words = ("--quiet", "--preset", "smoke", "--gpus-per-worker", "1000", "--run", directory)
    result = evosearch("search", *words, code=2)
    assert "1000 GPU" in result.stderr
    assert one_paragraph(result.stderr)
    assert not directory.exists()


def test_an_occupied_directory_is_refused_and_resume_is_named(tmp_path, evosearch, small_run):
    before = sorted(path.stat().st_mtime_ns for path in small_run.rglob("*"))
    result = evosearch("search", "--preset", "smoke", "--run", small_run, code=2)
    assert f"evosearch resume {small_run}" in result.stderr
    assert sorted(path.stat().st_mtime_ns for path in small_run.rglob("*")) == before
    (tmp_path / "thesis.txt").write_text("precious")
    evosearch("search", "--preset", "smoke", "--run", tmp_path, code=2)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_what_a_killed_start_left_behind_is_no_run(tmp_path, evosearch):
    (tmp_path / "journal").mkdir()
    (tmp_path / "lock").write_text("")
    assert "found no journal" in evosearch("resume", tmp_path, code=2).stderr
    settings = ("--preset", "smoke", "--set", "budget.evaluations=1", "--workers", 1, "--quiet")
    evosearch("search", *settings, "--run", tmp_path)
    assert "sound" in evosearch("verify", tmp_path).stdout


BAD_PROGRAMS = {
    "op": (
        "def f(w, g):\n    u = sgn(g)\n    return u\n",
        ("did you mean `sign`?", "line 2, column 9"),
    ),
    "syntax": ("def f(w, g)\n    return g\n", ("line 1",)),
    "shapes": (
        "def f(w, g):\n    r = row_mean(g)\n    u = matmul(g, r)\n    return r\n",
        ("`f`",),
    ),
    "import": ("import os\n", ("line 1, column 1", "function definitions")),
    "empty": ("", ("no program",)),
}


@pytest.mark.parametrize("command", ["show", "simplify", "export", "evaluate"])
@pytest.mark.parametrize("case", BAD_PROGRAMS)
def test_a_malformed_program_is_shown_its_place(tmp_path, evosearch, case, command):
    text, expected = BAD_PROGRAMS[case]
    file = tmp_path / "program.py"
    file.write_text(text)
    result = evosearch(command, file, code=2)
    for words in expected:
        assert words in result.stderr
    assert str(file) in result.stderr
    assert one_paragraph(result.stderr)


def test_binary_is_no_program(tmp_path, evosearch):
    file = tmp_path / "program.py"
    file.write_bytes(b"\xff\xfe\x00")
    assert "expected program text" in evosearch("show", file, code=2).stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("lino",), "did you mean `lion`?"),
        (("no/such.py",), "found nothing there"),
        (("a", "b", "c"), "expected RUN ID"),
        (("{run}", "x"), "found `x`"),
        (("{run}", "999"), "ids go from 0 to 15"),
        (("{run}:999",), "ids go from 0 to 15"),
        (("nowhere", "1"), "Expected a run in nowhere"),
    ],
)
def test_what_names_nothing(evosearch, small_run, words, expected):
    words = [word.format(run=small_run) for word in words]
    result = evosearch("show", *words, code=2)
    assert expected in result.stderr
    assert one_paragraph(result.stderr)


@pytest.mark.parametrize("command", ["status", "top", "resume", "verify"])
def test_a_damaged_journal_is_refused_and_left_alone(tmp_path, evosearch, small_run, command):
    run = shutil.copytree(small_run, tmp_path / "run")
    journal = run / "journal" / "000001.jsonl"
    data = bytearray(journal.read_bytes())
    data[len(data) // 2] ^= 1
    journal.write_bytes(data)
    result = evosearch(command, run, code=2)
    assert "000001.jsonl, line" in result.stderr
    assert journal.read_bytes() == data


def test_a_damaged_part_is_found_and_rebuilt(tmp_path, evosearch, small_run):
    run = shutil.copytree(small_run, tmp_path / "run")
    part = next((run / "candidates").iterdir())
    part.write_bytes(part.read_bytes()[:-1])
    result = evosearch("verify", run, code=2)
    assert f"evosearch verify --rebuild {run}" in result.stderr
    assert "sound" in evosearch("verify", "--rebuild", run).stdout
    assert "sound" in evosearch("verify", run).stdout


def test_a_missing_run_is_not_created(tmp_path, evosearch):
    for command in ("status", "top", "resume", "verify"):
        result = evosearch(command, tmp_path / "run", code=2)
        assert "found no journal there" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_no_file_is_not_written(evosearch, tmp_path):
    for place, found in ((tmp_path, "is a folder"), (tmp_path / "no" / "f.py", "no folder")):
        result = evosearch("export", "lion", "-o", place, "--force", code=2)
        assert found in result.stderr
        assert one_paragraph(result.stderr)
    assert list(tmp_path.iterdir()) == []


def test_usage_errors_come_with_the_usage(evosearch):
    assert "No such command 'serach'" in evosearch("serach", code=2).stderr
    assert "Missing argument" in evosearch("status", code=2).stderr
    assert "No such option" in evosearch("top", "x", "--bogus", code=2).stderr
    assert "two or more runs" in evosearch("verify", "--same", "x", code=2).stderr


def test_a_defect_is_one_sentence_without_debug_and_a_traceback_with_it(
    evosearch, monkeypatch, small_run
):
    def broken(*_args, **_options):
        raise RuntimeError("boom")

    monkeypatch.setattr(Run, "top", broken)
    plain = evosearch("top", small_run, code=1).stderr
    assert "internal error, RuntimeError: boom" in plain
    assert "Traceback" not in plain
    assert "Traceback" in evosearch("--debug", "top", small_run, code=1).stderr


def swallowed(*_args, **_options):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    except KeyboardInterrupt:
        raise ImportError("cannot load module more than once per process") from None


def leaves_as_ray_does(*_args, **_options):
    raise SystemExit(signal.SIGTERM)


@pytest.mark.parametrize("top", [swallowed, leaves_as_ray_does])
def test_an_interrupt_is_one_whatever_a_library_makes_of_it(evosearch, monkeypatch, small_run, top):
    monkeypatch.setattr(Run, "top", top)
    assert evosearch("top", small_run, code=130).stderr == "evosearch: interrupted\n"
