"""Damaged parquet, failing disks and foreign layouts are found, named, and harm no other data."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sample_runs import candidate, confirmation, write_search

from evosearch.errors import CorruptArchive, NewerFormat, RunError
from evosearch.storage import atomic_write, parquet
from evosearch.storage.journal import Journal
from evosearch.storage.parquet import TABLES
from evosearch.storage.seal import candidates, evaluations, rebuild, seal, verify


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of 24 candidates, of which the first was confirmed six times; several parquet."""
    monkeypatch.setattr("evosearch.storage.seal.PART_RECORDS", 5)
    return write_search(tmp_path / "run")


def content(directory):
    """Everything that the tables say."""
    return candidates(directory).to_pylist(), evaluations(directory).to_pylist()


def test_a_damaged_journal_keeps_its_parts(run):
    seal(run)
    segment = run / "journal" / "000001.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b"insert", b"insect", 1))
    with pytest.raises(CorruptArchive):
        rebuild(run)
    assert len(list(run.glob("candidates/*.parquet"))) == 3
    assert "line 4" in verify(run)[0]


@pytest.mark.parametrize("stride", [41, pytest.param(1, marks=pytest.mark.slow)])
def test_no_flipped_bit_is_read_as_something_else(tmp_path, stride):
    run = write_search(tmp_path / "run", packs=1)
    seal(run)
    for part in (part for name in TABLES for part in parquet.list_parts(run, name)):
        whole = parquet.load_part(part)
        intact = part.path.read_bytes()
        flips = range(0, len(intact), stride)
        messages = []
        assert verify(run) == []
        for index in flips:
            damaged = bytearray(intact)
            damaged[index] ^= 1 << index % 8
            part.path.write_bytes(damaged)
            try:
                assert parquet.load_part(part).equals(whole)  # a bit that nothing depends on
            except (CorruptArchive, NewerFormat) as error:
                messages.append(str(error))
        assert all(str(part.path) in message for message in messages)
        assert len(messages) > len(flips) / 2
        part.path.write_bytes(intact)


def change(content, index):
    return content[:index] + bytes([content[index] ^ 1]) + content[index + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content * 2,
        lambda content: content + b"\0",
        *(lambda content, i=i: change(content, i * (len(content) - 1) // 19) for i in range(20)),
    ],
)
def test_verify_finds_every_byte_that_was_changed_or_added(run, damage):
    for path in seal(run)[:2]:
        intact = path.read_bytes()
        path.write_bytes(damage(intact))
        findings = verify(run)
        assert len(findings) == 1
        assert str(path) in findings[0]
        path.write_bytes(intact)
    assert verify(run) == []


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_digests_are_in_the_form_of_sha256sum(run):
    seal(run)
    command = ["sha256sum", "--check", "--strict", "parts.sha256"]
    done = subprocess.run(command, cwd=run, capture_output=True, text=True, check=True)
    assert done.stdout.count(": OK") == 6


def test_parts_without_digests_are_checked_without_and_written_again(run):
    whole = content(run)
    path = seal(run)[0]
    (run / "parts.sha256").unlink()
    intact = path.read_bytes()
    assert verify(run) == []
    path.write_bytes(intact[:500])
    assert len(verify(run)) == 1
    assert content(run) == whole
    seal(run)
    assert path.read_bytes() == intact
    assert len(parquet.read_digests(run)) == len(list(run.glob("*/*.parquet"))) == 6
    assert verify(run) == []


@pytest.mark.parametrize("stride", [37, pytest.param(3, marks=pytest.mark.slow)])
def test_every_byte_of_the_digests_counts(run, stride):
    paths = seal(run)
    path = run / "parts.sha256"
    intact = path.read_bytes()
    for index in range(0, len(intact), stride):
        path.write_bytes(change(intact, index))
        findings = verify(run)
        assert findings, index
        named = (str(path), *map(str, paths))
        assert all(any(name in finding for name in named) for finding in findings)
        path.write_bytes(intact[:index])
        assert str(path) in "".join(verify(run)), index
    path.write_bytes(intact + intact)
    assert str(path) in verify(run)[0]
    path.write_bytes(intact)
    assert verify(run) == []


@pytest.mark.parametrize("table", list(TABLES))
def test_a_damaged_part_is_not_believed(run, table):
    whole = content(run)
    path = seal(run)[0]
    part = run / table / path.name
    intact = part.read_bytes()
    for index in range(0, len(intact), 397):
        part.write_bytes(change(intact, index))
        assert content(run) == whole
    part.write_bytes(intact)


def test_parts_of_another_journal_are_not_believed(run, tmp_path):
    whole = content(run)
    other = write_search(tmp_path / "other", size=3)
    seal(other)
    for path in [*other.glob("*/*.parquet"), other / "parts.sha256"]:
        target = run / path.relative_to(other)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path, target)
    assert verify(run) != []
    assert content(run) == whole
    seal(run)
    assert content(run) == whole
    assert verify(run) == []


def test_a_bit_flipped_in_a_data_page_is_found_and_named(run):
    path = seal(run)[0]
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    damaged = bytearray(path.read_bytes())
    damaged[column.data_page_offset + column.total_compressed_size // 2] ^= 4
    path.write_bytes(damaged)
    with pytest.raises(
        CorruptArchive, match=f"{path.name}.*it is damaged.*evosearch verify --rebuild {run}"
    ):
        parquet.load_part(parquet.list_parts(run, "candidates")[0])
    assert [path.name in finding for finding in verify(run)] == [True]
    rebuild(run)
    assert verify(run) == []


def test_a_part_that_contradicts_the_journal_is_found(run, tmp_path):
    other = write_search(tmp_path / "other", size=3)
    seal(run)
    for path in seal(other):
        shutil.copy(path, run / path.parent.name / path.name)
    findings = verify(run)
    assert len(findings) == 6
    assert all("not what the journal says" in finding for finding in findings)


def test_parts_beyond_the_end_of_the_journal_show_that_it_was_cut(run):
    seal(run)
    segment = run / "journal" / "000001.jsonl"
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(lines[:-2]))
    findings = verify(run)
    assert len(findings) == 2
    assert all("sound up to record 12 only" in finding for finding in findings)


def test_missing_and_foreign_parts_are_found(run):
    paths = seal(run)
    content_of_second = paths[1].read_bytes()
    whole = content(run)
    paths[1].unlink()
    assert "expected the part from record 6 here" in verify(run)[0]
    assert content(run) == whole
    paths[1].write_bytes(paths[0].read_bytes())
    assert "it says to be" in verify(run)[0]
    assert content(run) == whole
    paths[1].write_bytes(content_of_second)
    assert verify(run) == []
    (run / "candidates" / "mine.parquet").write_bytes(content_of_second)
    assert "mine.parquet" in verify(run)[0]


@pytest.mark.parametrize("name", ["write", "fsync", "replace", "open"])
def test_any_call_may_fail_while_sealing(run, monkeypatch, name):
    whole = content(run)
    original = getattr(os, name)
    call, fault_came = 0, True
    while fault_came:
        call += 1
        countdown = call

        def fail(*args, **kwargs):
            nonlocal countdown
            countdown -= 1
            if countdown == 0:
                raise OSError(28, "No space left on device")
            return original(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(atomic_write.os, name, fail)
            try:
                seal(run)
            except RunError as error:
                assert "make room" in str(error)  # noqa: PT017
        fault_came = countdown <= 0
        assert content(run) == whole
        assert verify(run) == []
    seal(run)
    assert verify(run) == []
    assert not list(run.rglob(".*.tmp"))


KILLED = """
import os, signal, sys
from pathlib import Path
from evosearch.storage import seal
from evosearch.storage import atomic_write
seal.PART_RECORDS = 5
countdown = int(sys.argv[2])
def dying(function):
    def call(*args):
        global countdown
        countdown -= 1
        if countdown == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args)
    return call
for name in ("write", "replace"):
    setattr(os, name, dying(getattr(os, name)))
seal.seal(Path(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("call", [1, 4, 7, 10])
def test_being_killed_while_sealing_loses_nothing(run, call):
    whole = content(run)
    root = Path(__file__).parents[3]
    child = subprocess.run([sys.executable, "-c", KILLED, run, str(call)], cwd=root, check=False)
    assert child.returncode == -9
    assert content(run) == whole
    assert verify(run) == []
    seal(run)
    assert content(run) == whole
    assert not list(run.rglob(".*.tmp"))


@pytest.mark.parametrize(
    "record",
    [
        {"kind": "pack", "pack": 9, "candidates": [{"id": 99}]},
        {"kind": "pack", "pack": 9, "candidates": [candidate(99, status=None)]},
        {"kind": "pack", "pack": 9, "candidates": [candidate(99) | {"id": "99"}]},
        {"kind": "pack", "pack": 9, "candidates": [candidate(99) | {"score": "high"}]},
        {"kind": "pack", "pack": 9, "candidates": [candidate(99, results=[{"task": "digits"}])]},
        {"kind": "pack", "pack": 9, "candidates": [candidate(99, results=7)]},
        {"kind": "pack", "pack": 9, "candidates": [candidate(99, replicate=8)]},
        {"kind": "pack", "pack": 9, "candidates": 3},
        {"kind": "pack", "pack": 9, "candidates": [None]},
        {"kind": "pack", "pack": 9, "candidates": [candidate(99) | {"parents": [10**12]}]},
        {"kind": "pack", "pack": 9, "candidates": [candidate(99) | {"parents": [-1]}]},
        {"kind": "pack", "pack": 9, "candidates": [candidate(99) | {"parents": [99]}]},
        {"kind": "pack", "pack": 9, "candidates": [candidate(99) | {"statements": 2**40}]},
        {"kind": "pack", "pack": 9, "candidates": [candidate(-1)]},
        {"kind": "pack", "pack": 2**64 - 1, "candidates": [candidate(99)]},
        {"kind": "confirm", "pack": 9, "candidates": [confirmation(99, 1.0, 1)]},
        {"kind": "confirm", "pack": 9},
    ],
)
def test_packs_of_another_layout_are_refused(run, record):
    with Journal.open(run) as log:
        log.append(record)
    for attempt in (content, seal):
        with pytest.raises(CorruptArchive, match="version that wrote"):
            attempt(run)
    findings = verify(run)
    assert len(findings) == 1
    assert "record 15 is as it was written" in findings[0]
    assert "000001.jsonl, line 16" in findings[0]
