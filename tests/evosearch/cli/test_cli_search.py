"""Searching, stopping and resuming: whatever happens in between, the history is the same."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from cli_runs import SETTINGS

from evosearch.cli.interrupt import interruptible
from evosearch.config.schema import preset
from evosearch.language.parse import parse_rules
from evosearch.runs import manifest
from evosearch.runs.run import Run
from evosearch.simplify import simplify
from evosearch.storage.journal import read
from evosearch.storage.seal import candidates

SET = [word for setting in SETTINGS for word in ("--set", setting)]
SEARCH = ("search", "--preset", "smoke", *SET, "--workers", "1")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def start(*words):
    """Start a command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "evosearch", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def wait_for_a_pack(process, directory):
    """Wait until a run in another process has committed a pack."""
    journal = directory / "journal" / "000001.jsonl"
    while not (journal.exists() and b'"kind":"pack"' in journal.read_bytes()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def test_search_prints_the_hall_of_fame_and_what_to_do_next(here, evosearch, small_run):
    result = evosearch(*SEARCH)
    lines = result.stdout.splitlines()
    run = Run.open("runs/smoke-0")
    assert run.state == "finished"
    assert run.digest() == Run.open(small_run).digest()
    best = run.top(1)[0]
    assert any(line.startswith(f"   1   {best.id:>2}   {best.score:+.3f}") for line in lines)
    chosen = run.recommend()
    assert f"Use candidate {chosen.candidate.id}: {chosen.reason}." in lines
    for command in ("evaluate", "show", "simplify", "export"):
        named = f"evosearch {command} runs/smoke-0 {chosen.candidate.id}"
        assert any(named in line for line in lines)
    shown = "\n".join(line.removeprefix("  ") for line in lines)
    text = shown[shown.index("def evolved_") : shown.index("\n\nNext:")]
    simplified = simplify(chosen.candidate.program).program
    assert parse_rules(text) == simplified.renamed(chosen.candidate.name)
    assert "cache hits" in result.stderr
    assert f"best {best.score:+.3f}" in result.stderr

    files = {path.name for path in here.glob("runs/smoke-0/*")}
    assert {"journal", "hall_of_fame.csv", "hall_of_fame.json", "candidates"} <= files
    fame = json.loads((run.directory / "hall_of_fame.json").read_text())["candidates"]
    assert [row["id"] for row in fame] == [c.id for c in run.top(20)]
    with (run.directory / "hall_of_fame.csv").open(newline="") as file:
        assert [int(row["id"]) for row in csv.DictReader(file)] == [row["id"] for row in fame]
    assert candidates(run.directory).num_rows == len(run.history.candidates) == 16

    evosearch(*SEARCH, "--quiet", "--time-limit", "0")
    assert Run.open("runs/smoke-0-2").state == "stopped"


def test_a_search_stops_at_a_number_or_a_score_and_goes_on_to_the_same_history(
    tmp_path, evosearch, small_run
):
    directory = tmp_path / "run"
    stopped = evosearch(*SEARCH, "--quiet", "--run", directory, "--max-evaluations", 5)
    assert "candidates are evaluated. To go on: evosearch resume" in stopped.stderr
    assert 5 <= len(Run.open(directory).history.candidates) < 16
    rounds = Run.open(directory).config.elites.rounds
    resume = ("resume", directory, "--workers", 1, "--quiet")
    evosearch(*resume, "--target-score", 9)
    finished = Run.open(directory)
    assert finished.state == "finished"
    assert finished.digest() == Run.open(small_run).digest()
    confirmed = [c.score for c in finished.top(20) if c.rounds >= rounds]

    directory = tmp_path / "other"
    target = max(confirmed)
    reached = evosearch(*SEARCH, "--quiet", "--run", directory, "--target-score", target - 1)
    assert ", confirmed. To go on: evosearch resume" in reached.stderr
    assert Run.open(directory).state == "stopped"


@pytest.mark.parametrize("records", [pytest.param(1, marks=pytest.mark.slow), 6])
def test_an_interrupted_run_resumes_to_the_same_history(tmp_path, evosearch, small_run, records):
    seen = 0

    def interrupt(_history):
        nonlocal seen
        seen += 1
        if seen > records:
            raise KeyboardInterrupt

    run = Run.create(tmp_path / "run", preset("smoke", SETTINGS))
    with pytest.raises(KeyboardInterrupt):
        run.search(observe=interrupt)
    stopped = Run.open(run.directory)
    assert stopped.state == "stopped"
    assert "evosearch resume" in evosearch("status", run.directory).stdout

    evosearch("resume", run.directory, "--workers", "1", "--quiet")
    assert Run.open(run.directory).state == "finished"
    report = evosearch("verify", "--same", small_run, run.directory)
    assert Run.open(small_run).digest() in report.stdout
    assert "sound" in evosearch("verify", run.directory).stdout
    again = evosearch("resume", run.directory)
    assert "finished" in again.stdout


def test_versions_that_have_changed_are_told(tmp_path, evosearch, monkeypatch):
    directory = tmp_path / "run"
    evosearch(*SEARCH, "--quiet", "--run", directory, "--time-limit", 0)
    resume = ("resume", directory, "--workers", 1, "--quiet", "--time-limit", 0)
    assert "other versions" not in evosearch(*resume).stderr
    began = manifest.versions()
    monkeypatch.setattr(manifest, "versions", lambda: began | {"torch": "9.9"})
    told = evosearch(*resume).stderr
    assert f"depend: torch {began['torch']} then, 9.9 now." in told


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)]
)
def test_a_signal_saves_and_says_how_to_go_on(tmp_path, evosearch, small_run, number):
    directory = tmp_path / "run"
    process = start(*SEARCH, "--run", directory)
    wait_for_a_pack(process, directory)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"evosearch resume {directory}" in errors
    assert "Traceback" not in errors
    assert Run.open(directory).state == "stopped"
    evosearch("resume", directory, "--workers", "1", "--quiet")
    evosearch("verify", "--same", small_run, directory)


@pytest.mark.slow  # `test_journal_crash` kills a writer in a second
def test_a_killed_run_is_in_use_until_it_dies_and_loses_nothing(
    tmp_path, evosearch, as_json, small_run
):
    directory = tmp_path / "run"
    process = start(*SEARCH, "--run", directory)
    try:
        wait_for_a_pack(process, directory)
        process.send_signal(signal.SIGSTOP)
        status = as_json("status", directory)
        assert status["state"] == "running"
        assert str(process.pid) in status["writer"]
        refused = evosearch("resume", directory, "--workers", "1", code=2)
        assert str(process.pid) in refused.stderr
    finally:
        process.kill()
        process.communicate()
    assert Run.open(directory).state == "stopped"
    committed = [record.body for record in read(directory)]
    evosearch("resume", directory, "--workers", "1", "--quiet")
    assert [record.body for record in read(directory)][: len(committed)] == committed
    evosearch("verify", "--same", small_run, directory)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_is_an_interrupt_and_handlers_are_restored(number):
    before = signal.getsignal(number)

    @interruptible()
    def work():
        os.kill(os.getpid(), number)
        time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert signal.getsignal(number) is before


def test_an_interrupt_that_a_library_turns_into_another_exception_is_one_all_the_same():
    """An import that is interrupted may end as an ImportError, say."""

    def load():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt:
            raise ImportError("initialization failed") from None

    with pytest.raises(KeyboardInterrupt), interruptible(), interruptible():
        load()
    with pytest.raises(ImportError), interruptible():  # nobody interrupted this one
        raise ImportError("no such module")


def test_the_second_signal_ends_the_process_at_once():
    code = """
import os, signal
from evosearch.cli.interrupt import interruptible
with interruptible():
    try:
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        os.kill(os.getpid(), signal.SIGINT)
        print("still here")
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")


@pytest.mark.usefixtures("here")
def test_json_results(as_json):
    result = as_json(*SEARCH, "--seed", "1")
    run = Run.open(result["run"])
    assert run.manifest["seeds"] == {"run": 1}
    assert result["digest"] == run.digest()
    assert [row["id"] for row in result["top"]] == [c.id for c in run.top(10)]
    assert result["state"] == "finished"


def test_different_histories_differ(tmp_path, evosearch, as_json, small_run):
    other = tmp_path / "other"
    evosearch(
        "search",
        "--preset",
        "smoke",
        "--seed",
        "5",
        *SET,
        "--workers",
        "1",
        "--run",
        other,
        "--time-limit",
        "0",
    )
    result = evosearch("verify", "--same", small_run, other, code=1)
    assert "seed is 0 in the first run and 5 in the second" in result.stdout
    assert as_json("verify", "--same", small_run, other, code=1)["same"] is False
    assert as_json("verify", "--same", small_run, small_run)["same"] is True


def test_a_search_begins_with_what_an_earlier_one_found(tmp_path, evosearch, small_run):
    best = Run.open(small_run).top(1)[0]
    words = ("search", "--preset", "smoke", "--workers", 1, "--set", "budget.evaluations=1")
    evosearch(*words, "--run", tmp_path / "next", "--start", small_run, "--quiet")
    first = Run.open(tmp_path / "next").candidate(0)
    assert (first.mutation, first.program) == ("start", best.program)
    result = evosearch(*words, "--run", tmp_path / "none", "--start", "lino", code=2)
    assert "did you mean `lion`?" in result.stderr


def test_a_finished_run_is_extended(tmp_path, evosearch, as_json, small_run):
    directory = tmp_path / "run"
    shutil.copytree(small_run, directory)
    result = evosearch("resume", directory, "--evaluations", "20", "--workers", "1")
    assert "20 of 20 candidates" in result.stderr
    assert "Evaluated 20 candidates" in result.stdout
    difference = evosearch("verify", "--same", small_run, directory, code=1).stdout
    assert "the first run ends before step" in difference
    status = as_json("status", directory)
    assert (status["evaluations"], status["budget"], status["state"]) == (20, 20, "finished")
    assert "sound" in evosearch("verify", directory).stdout
    refused = evosearch("resume", directory, "--evaluations", "16", code=2)
    assert "a budget can grow only" in refused.stderr


def test_a_damaged_journal_is_repaired(tmp_path, evosearch, small_run):
    directory = tmp_path / "run"
    shutil.copytree(small_run, directory)
    segment = directory / "journal" / "000001.jsonl"
    lines = segment.read_bytes().splitlines(keepends=True)
    lines[-4] = lines[-4].replace(b'"kind"', b'"king"')
    segment.write_bytes(b"".join(lines))
    refused = evosearch("resume", directory, code=2)
    assert f"evosearch resume --repair {directory}" in refused.stderr
    result = evosearch("resume", directory, "--repair", "--workers", "1")
    assert f"Kept the {len(lines) - 5} records" in result.stderr
    evosearch("verify", "--same", small_run, directory)
    assert (directory / "damaged-1" / "000001.jsonl").read_bytes() == b"".join(lines)
