"""Watching a run: what each look shows is what the whole journal says by then."""

import io
import json
import re
import shutil

import pytest
from cli_runs import SETTINGS
from rich.console import Console

from evosearch.cli import watch as command
from evosearch.config.schema import preset
from evosearch.runs.candidates import CandidateMap
from evosearch.runs.run import Run
from evosearch.runs.watch import Watch
from evosearch.storage.journal import Journal, read


class Writer:
    """A process that appends a run's records here, a few each time."""

    def __init__(self, source, directory):
        manifest, *self.records = (record.body for record in read(source))
        self.journal = Journal.create(directory, manifest)

    def write(self, count):
        batch, self.records = self.records[:count], self.records[count:]
        self.journal.append_many(batch)
        return bool(batch)


def beaten(candidate, others):
    """Whether one of its size or smaller is better."""
    return any(o.statements <= candidate.statements and o.rank > candidate.rank for o in others)


@pytest.mark.parametrize("step", [1, 4])
def test_every_look_shows_what_the_journal_says(tmp_path, small_run, step):
    writer = Writer(small_run, tmp_path / "run")
    watching = Watch(tmp_path / "run")
    state, left = "", None
    while writer.write(step):
        sight, run = watching.look(writer.journal.sequence), Run.open(tmp_path / "run")
        state, left = sight.state, sight.left
        assert sight.state == run.state
        assert vars(sight.history) == vars(run.history)
        assert list(sight.top) == run.top(5)
        scored = sorted(run.top(100), key=lambda c: c.rank, reverse=True)
        assert list(sight.front) == [c for c in scored if not beaten(c, scored)]
    assert (state, left) == ("finished", None)
    writer.journal.close()


def test_a_look_reads_what_was_appended_and_nothing_else(tmp_path, small_run, monkeypatch):
    monkeypatch.setattr("evosearch.storage.journal.SEGMENT_BYTES", 4000)
    writer = Writer(small_run, tmp_path / "run")
    watching = Watch(tmp_path / "run")
    while len(list((tmp_path / "run" / "journal").iterdir())) < 2 or writer.journal.sequence < 4:
        assert writer.write(1)
    writer.write(1)
    before = watching.look(0.0).history.packs
    paths = sorted((tmp_path / "run" / "journal").iterdir())
    for path in paths[:-1]:
        path.write_bytes(b"it is not read again")
    paths[-1].write_bytes(bytes(paths[-1].stat().st_size))
    writer.write(1)
    assert watching.look(1.0).history.packs == before + 1
    writer.journal.close()


def test_a_look_sorts_no_candidates(small_run, monkeypatch):
    """What is new finds its place among what is known; `top` orders all of them each time."""
    expected = Run.open(small_run).top(5)
    monkeypatch.setattr(CandidateMap, "top", lambda *_: pytest.fail("all were sorted"))
    assert list(Watch(small_run).look(0.0).top) == expected


def test_a_record_caught_while_it_is_written_waits_for_the_next_look(tmp_path, small_run):
    writer = Writer(small_run, tmp_path / "run")
    writer.write(3)
    writer.journal.close()
    path = tmp_path / "run" / "journal" / "000001.jsonl"
    whole = path.read_bytes()
    start = whole.rstrip(b"\n").rindex(b"\n") + 1
    path.write_bytes(whole[:start])
    watching = Watch(tmp_path / "run")
    before = watching.look(0.0).history.packs
    for end in (start + 1, start + 60, len(whole) - 2):
        path.write_bytes(whole[:end])
        assert watching.look(1.0).history.packs == before
    for end in (len(whole) - 1, len(whole), len(whole)):  # without and with its newline
        path.write_bytes(whole[:end])
        assert watching.look(2.0).history.packs == before + 1


def test_the_rate_is_that_of_the_last_looks(tmp_path, small_run):
    writer = Writer(small_run, tmp_path / "run")
    watching = Watch(tmp_path / "run")
    writer.write(2)  # the reference and a pack of four
    sight = watching.look(100.0)
    assert (sight.rate, sight.left) == (None, None)
    writer.write(1)
    sight = watching.look(110.0)
    assert (sight.rate, sight.left) == (0.4, 8 / 0.4)
    sight = watching.look(130.0)  # nothing new: the mean over all these looks
    assert (sight.rate, sight.left) == (4 / 30, 8 / (4 / 30))
    writer.journal.close()
    stopped = watching.look(140.0)
    assert stopped.state == "stopped"
    assert stopped.rate == 0.1
    assert stopped.left is None  # nobody is at it


def test_there_is_no_rate_without_time_or_without_candidates(tmp_path, small_run):
    writer = Writer(small_run, tmp_path / "run")
    watching = Watch(tmp_path / "run")
    watching.look(5.0)
    assert watching.look(8.0).rate is None
    writer.write(3)
    watching = Watch(tmp_path / "run")
    watching.look(8.0)
    writer.write(1)
    assert watching.look(8.0).rate is None  # a clock too coarse to tell the looks apart
    writer.journal.close()


def test_a_rate_forgets_what_was_long_ago(tmp_path, small_run, monkeypatch):
    monkeypatch.setattr("evosearch.runs.watch._LOOKS", 3)
    writer = Writer(small_run, tmp_path / "run")
    writer.write(2)
    watching = Watch(tmp_path / "run")
    for now in (0.0, 100.0, 110.0):
        watching.look(now)
    writer.write(1)
    assert watching.look(120.0).rate == 4 / 20
    writer.journal.close()


def test_who_loses_its_score_is_shown_no_more(tmp_path, small_run):
    writer = Writer(small_run, tmp_path / "run")
    watching = Watch(tmp_path / "run")
    while writer.records[0]["kind"] != "confirm":
        writer.write(1)
    before = watching.look(0.0)
    best = before.top[0]
    lost = {"status": "timeout", "score": None, "score_se": None, "rounds": 0, "results": []}
    row = {"id": best.id, "tier": 0, "message": "no result", **lost}
    writer.records[0] = {**writer.records[0], "candidates": [row]}
    writer.write(1)
    after = watching.look(1.0)
    assert list(after.top) == Run.open(tmp_path / "run").top(5)
    assert best.id not in {candidate.id for candidate in (*after.top, *after.front)}
    writer.journal.close()


def test_a_finished_run_is_shown_and_left(small_run, evosearch):
    result = evosearch("watch", small_run)
    best = Run.open(small_run).top(1)[0]
    first, *rest = result.stdout.splitlines()
    assert first.startswith("finished; 16 of 16 candidates")
    assert f"#{best.id}" in first
    assert rest[1] == "The best"
    sight = json.loads(evosearch("watch", small_run, "--json").stdout)
    assert sight["top"][0]["id"] == best.id
    assert sight["state"] == "finished"


def test_it_follows_a_run_to_its_end_and_ctrl_c_leaves_the_run_alone(
    tmp_path, small_run, evosearch, monkeypatch
):
    writer = Writer(small_run, tmp_path / "run")

    def sleep(seconds):
        assert seconds == 2.0
        if not writer.write(2):
            raise KeyboardInterrupt

    monkeypatch.setattr(command.time, "sleep", sleep)
    result = evosearch("watch", tmp_path / "run", "--every", 2, "--json")
    sights = [json.loads(line) for line in result.stdout.splitlines()]
    counts = [sight["evaluations"] for sight in sights]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 16)
    assert {sight["state"] for sight in sights[:-1]} == {"running"}
    assert sights[-1]["state"] == "finished"
    writer.journal.close()

    shutil.rmtree(tmp_path / "run")
    writer = Writer(small_run, tmp_path / "run")
    writer.write(3)
    writer.records = []
    result = evosearch("watch", tmp_path / "run", "--every", 2, code=130)
    assert "the run goes on" in result.stderr
    writer.journal.append({"kind": "note", "text": "still writing"})
    writer.journal.close()


def test_a_stopped_run_says_how_to_go_on(tmp_path, evosearch):
    Run.create(tmp_path / "run", preset("smoke", SETTINGS))
    result = evosearch("watch", tmp_path / "run")
    assert result.stdout.startswith("stopped; 0 of 16 candidates")
    assert f"evosearch resume {tmp_path / 'run'}" in result.stdout


def test_on_a_terminal_there_are_both_lists(small_run):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, color_system=None)
    console.print(command.render("[red]title", Watch(small_run).look(0.0)))
    text = stream.getvalue()
    assert "[red]title" in text
    assert "16 of 16 candidates" in text
    assert "The best of each size or smaller" in text
    for candidate in Run.open(small_run).top(5):
        assert re.search(rf"^ *{candidate.id} ", text, re.MULTILINE)


def test_the_front_of_a_look_is_the_run_s_whatever_the_tiers(tmp_path, small_run):
    manifest, *records = (record.body for record in read(small_run))
    for record in records:
        for row in record.get("candidates", ()):
            row["tier"] = row["id"] % 2
    with Journal.create(tmp_path / "run", manifest) as journal:
        journal.append_many(records)
    sight = Watch(tmp_path / "run").look(0.0)
    assert list(sight.front) == Run.open(tmp_path / "run").front()[::-1]
    assert {candidate.tier for candidate in sight.front} == {1}
