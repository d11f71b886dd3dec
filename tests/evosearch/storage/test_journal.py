"""What the journal promises: nothing committed is lost, nothing damaged is read as whole."""

import json
import os
import zlib
from pathlib import Path

import pytest
from sample_runs import MANIFEST, bodies, note, numbers, small_run

from evosearch.errors import (
    CorruptArchive,
    NewerFormat,
    RunError,
    RunExists,
    RunInUse,
    RunNotFound,
    UsageError,
)
from evosearch.storage import codec, journal
from evosearch.storage.journal import Journal, read


@pytest.fixture
def run(tmp_path, monkeypatch):
    return small_run(tmp_path / "run", monkeypatch)


def test_records_read_back_as_written_in_order(run):
    assert bodies(run) == [{**MANIFEST, "kind": "manifest"}] + [note(n) for n in range(12)]


@pytest.mark.parametrize("after", range(15))
def test_reading_can_start_anywhere(run, after):
    assert bodies(run, after) == bodies(run)[after:]


def test_starting_late_leaves_out_whole_segments(run):
    first = run / "journal" / "000001.jsonl"
    first.write_bytes(first.read_bytes()[:-20])
    assert bodies(run, after=12) == [note(11)]


def test_reopening_goes_on_where_it_ended(run):
    with Journal.open(run) as log:
        assert (log.sequence, log.manifest["config"]) == (13, {"window": 4})
        assert log.notices == []
        assert log.append_many([note(12), note(13)]) == range(14, 16)
        assert log.append_many([]) == range(16, 16)
        assert log.append(note(14)) == 16
    assert numbers(run) == list(range(15))


def test_lines_are_json_that_other_tools_can_read(run):
    lines = [
        json.loads(line)
        for path in sorted((run / "journal").iterdir())
        for line in path.read_text().splitlines()
    ]
    assert [line["record"] for line in lines if "record" in line] == bodies(run)


def test_checksums_are_the_chain_that_the_documentation_describes(run):
    crc = 0
    for path in sorted((run / "journal").iterdir()):
        for line in path.read_bytes().splitlines()[1:]:
            payload = line[line.index(b'"record":') + len(b'"record":') : -1]
            crc = zlib.crc32(payload, crc)
            assert json.loads(line)["crc"] == f"{crc:08x}"
            assert json.loads(line)["size"] == len(payload)


def test_reading_a_live_run_sees_a_prefix_and_needs_no_lock(tmp_path):
    with Journal.create(tmp_path, MANIFEST) as log:
        log.append(note(0))
        path = tmp_path / "journal" / "000001.jsonl"
        whole = path.read_bytes()
        log.append(note(1))
        line = path.read_bytes()[len(whole) :]
        for end in range(len(line) - 1):  # as if caught in the middle of a write
            path.write_bytes(whole + line[:end])
            assert numbers(tmp_path) == [0]


def test_a_run_has_one_writer(tmp_path):
    with (
        Journal.create(tmp_path, MANIFEST),
        pytest.raises(RunInUse, match=f"process {os.getpid()} "),
    ):
        Journal.open(tmp_path)
    Journal.open(tmp_path).close()


def test_a_writer_whose_lock_was_taken_away_stops(tmp_path):
    with Journal.create(tmp_path, MANIFEST) as log:
        (tmp_path / "lock").unlink()
        with Journal.open(tmp_path) as other:
            with pytest.raises(RunInUse, match="deleted or replaced"):
                log.append(note(0))
            other.append(note(0))
    assert numbers(tmp_path) == [0]


def test_a_closed_journal_takes_no_more(tmp_path):
    log = Journal.create(tmp_path, MANIFEST)
    log.close()
    log.close()
    with pytest.raises(RunError, match="closed"):
        log.append(note(0))


def test_a_new_run_never_touches_what_is_there(run, tmp_path):
    before = bodies(run)
    with pytest.raises(RunExists, match=f"evosearch resume {run}"):
        Journal.create(run, MANIFEST)
    assert bodies(run) == before
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("")
    with pytest.raises(RunExists, match=r"chapter\.tex"):
        Journal.create(tmp_path / "thesis", MANIFEST)
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]
    with pytest.raises(RunError, match=r"chapter\.tex"):
        Journal.create(tmp_path / "thesis" / "chapter.tex", MANIFEST)


def test_no_run_is_said_and_nothing_is_created(tmp_path):
    for directory in (tmp_path, tmp_path / "missing"):
        with pytest.raises(RunNotFound, match="found no journal"):
            Journal.open(directory)
        with pytest.raises(RunNotFound, match="evosearch search"):
            next(read(directory))
    assert list(tmp_path.iterdir()) == []


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (float("nan"), r"record\.a\[1\]\.b: expected a finite number, found nan"),
        (float("-inf"), "found -inf"),
        (1 << 64, "64 bits"),
        (-(10**5000), "64 bits"),
        (deep(40), "32 deep"),
        (deep(10**6), "32 deep"),
        ({1: 2}, "keys that are text, found 1"),
        (b"bytes", "found bytes"),
        (Path("a"), "Path"),
    ],
    ids=lambda value: str(type(value)) if not isinstance(value, str) else "",
)
def test_what_json_cannot_hold_is_refused_before_anything_is_written(tmp_path, value, found):
    with Journal.create(tmp_path, MANIFEST) as log:
        with pytest.raises(UsageError, match=found):
            log.append_many([note(0), {"kind": "note", "a": [0, {"b": value}]}])
        assert log.append(note(0)) == 2
    assert numbers(tmp_path) == [0]


@pytest.mark.parametrize("body", [{}, {"kind": 3}])
def test_a_record_has_a_kind(tmp_path, body):
    with Journal.create(tmp_path, MANIFEST) as log, pytest.raises(UsageError, match="kind"):
        log.append(body)


def test_numbers_and_texts_survive_exactly(tmp_path):
    values = [0.1, 5e-324, -0.0, 1.7976931348623157e308, 2**64 - 1, -(2**63), "\ud800 \u2028 💥"]
    with Journal.create(tmp_path, MANIFEST) as log:
        log.append({"kind": "note", "values": values})
    assert repr(bodies(tmp_path)[1]["values"]) == repr(values)


def test_a_newer_format_is_refused_with_the_version_to_install(tmp_path, monkeypatch):
    for module in (codec, journal):
        monkeypatch.setattr(module, "FORMAT", module.FORMAT + 1)
    monkeypatch.setattr(journal, "writer", lambda: "evosearch 3.1.4")
    Journal.create(tmp_path, MANIFEST).close()
    monkeypatch.undo()
    for attempt in (lambda: Journal.open(tmp_path), lambda: list(read(tmp_path))):
        with pytest.raises(NewerFormat, match=r"pip install 'evosearch>=3\.1\.4'"):
            attempt()


def test_an_older_format_is_migrated_on_read_and_continued_in_a_new_segment(tmp_path, monkeypatch):
    with Journal.create(tmp_path, MANIFEST) as log:
        log.append(note(0))
    old = (tmp_path / "journal" / "000001.jsonl").read_bytes()
    for module in (codec, journal):
        monkeypatch.setattr(module, "FORMAT", module.FORMAT + 1)
    monkeypatch.setitem(codec.MIGRATIONS, codec.FORMAT - 1, lambda body: {**body, "migrated": True})
    with Journal.open(tmp_path) as log:
        assert log.manifest["migrated"]
        log.append(note(1))
    assert bodies(tmp_path)[1:] == [{**note(0), "migrated": True}, note(1)]
    assert (tmp_path / "journal" / "000001.jsonl").read_bytes() == old


def test_every_older_format_has_a_migration():
    assert set(codec.MIGRATIONS) == set(range(1, codec.FORMAT))


def test_reading_takes_memory_for_one_record_at_a_time(tmp_path):
    import tracemalloc

    with Journal.create(tmp_path, MANIFEST) as log:
        log.append_many(note(n) for n in range(20_000))
    tracemalloc.start()
    total = sum(1 for _ in read(tmp_path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 20_001
    assert peak < 1 << 20


@pytest.mark.parametrize(
    "payload",
    [
        b'{"kind":"note","a":NaN}',
        b'{"kind":"note","a":' + b"1" * 10000 + b"}",
        b'{"kind":"note","a":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"kind":3}',
        b"[]",
        b'{"kind":"note"',
        b'{"kind":"\xff"}',
        b"cos\nsystem\n(S'true'\ntR.",
    ],
)
def test_hostile_content_with_a_valid_checksum_is_refused(tmp_path, payload):
    with Journal.create(tmp_path, MANIFEST):
        path = tmp_path / "journal" / "000001.jsonl"
    content = path.read_bytes()
    before = int(json.loads(content.splitlines()[1])["crc"], 16)
    crc = zlib.crc32(payload, before)
    line = b'{"seq":2,"crc":"%08x","size":%d,"record":%s}\n' % (crc, len(payload), payload)
    path.write_bytes(content + line)
    with pytest.raises(CorruptArchive, match="line 3"):
        list(read(tmp_path))
