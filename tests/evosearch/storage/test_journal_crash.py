"""A journal opens with all that was committed, or says which byte is wrong."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sample_runs import MANIFEST, bodies, note, numbers, small_run

from evosearch.errors import CorruptArchive, RunError
from evosearch.storage import journal
from evosearch.storage.journal import Journal, read

ROOT = Path(__file__).parents[3]


@pytest.fixture
def run(tmp_path, monkeypatch):
    return small_run(tmp_path / "run", monkeypatch)


def test_a_journal_cut_anywhere_opens_with_a_prefix_and_goes_on(run, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)  # nothing dies here, so spare the disk
    first, *_, last = sorted((run / "journal").iterdir())
    assert first != last
    content = last.read_bytes()
    header = content.index(b"\n") + 1
    before = [n for n in numbers(run) if f'"number":{n},'.encode() not in content]
    for size in range(len(content)):
        copy = tmp_path / "copy"
        shutil.copytree(run, copy)
        os.truncate(copy / "journal" / last.name, size)
        survivors = numbers(copy)
        whole = content[: size + 1].count(b"\n") - 1  # only the newline may be missing
        assert survivors == list(range(len(before) + max(whole, 0)))
        with Journal.open(copy) as log:
            at_end_of_line = size > header and b"\n" in content[size - 1 : size + 1]
            assert bool(log.notices) != (at_end_of_line or size == header), size
            log.append(note(len(survivors)))
        assert numbers(copy) == [*survivors, len(survivors)]
        with Journal.open(copy) as log:
            assert log.notices == []
        shutil.rmtree(copy)


def test_a_tail_that_the_file_system_filled_with_zeros_is_cut(run):
    last = max((run / "journal").iterdir())
    last.write_bytes(last.read_bytes() + b'{"seq":14,"crc":"01' + bytes(5000))
    with Journal.open(run) as log:
        assert "cut 5019 bytes" in log.notices[0]
    assert numbers(run) == list(range(12))


def test_an_earlier_segment_must_be_whole(run):
    first = run / "journal" / "000001.jsonl"
    content = first.read_bytes()
    for size in range(len(content)):
        first.write_bytes(content[:size])
        with pytest.raises(CorruptArchive, match=r"00000[12]\.jsonl, line \d+, byte \d+"):
            list(read(run))


@pytest.mark.parametrize("step", [2, pytest.param(1, marks=pytest.mark.slow)])
def test_every_flipped_byte_is_found_and_located(run, step):
    """Of every byte the highest bit or the lowest; of every byte both, where there is time."""
    for path in sorted((run / "journal").iterdir()):
        content = path.read_bytes()
        intact = bodies(run)
        for index in range(len(content)):
            for mask in (0x01, 0x80)[index % step :: step]:
                damaged = bytearray(content)
                damaged[index] ^= mask
                path.write_bytes(damaged)
                with pytest.raises(CorruptArchive, match=r"\d+\.jsonl, line \d+, byte \d+") as info:
                    list(read(run))
                _, byte = str(info.value).split(", byte ")
                line = content.rfind(b"\n", 0, index) + 1
                assert path.name in str(info.value)
                assert int(byte.split(":")[0]) == line
        path.write_bytes(content)
        assert bodies(run) == intact


def test_damage_is_left_as_it_is(run):
    path = run / "journal" / "000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b"window", b"windov"))
    before = path.read_bytes()
    with pytest.raises(CorruptArchive):
        Journal.open(run)
    assert path.read_bytes() == before
    assert (run / "lock").read_bytes() == b""


def test_segments_that_are_missing_swapped_or_foreign_are_found(run, tmp_path):
    folder = run / "journal"
    shutil.copytree(folder, tmp_path / "whole")

    def restore():
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "whole", folder)

    (folder / "000002.jsonl").unlink()
    with pytest.raises(CorruptArchive, match=r"000002\.jsonl, found 000003\.jsonl"):
        list(read(run))
    restore()
    shutil.copy(folder / "000002.jsonl", folder / "000003.jsonl")
    with pytest.raises(CorruptArchive, match=r"segment 3 .* found segment 2"):
        list(read(run))
    restore()
    with Journal.create(tmp_path / "other", {**MANIFEST, "seeds": {"run": 8}}) as log:
        for number in range(12):
            log.append(note(number))
    shutil.copy(tmp_path / "other" / "journal" / "000002.jsonl", folder)
    with pytest.raises(CorruptArchive, match="after checksum"):
        list(read(run))


def test_lines_that_are_repeated_or_taken_out_are_found(run):
    path = run / "journal" / "000001.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    for changed, found in (
        (lines[:3] + lines[2:], "expected record 3, found record 2"),
        (lines[:2] + lines[3:], "expected record 2, found record 3"),
        (lines[:1] + lines[2:], "expected record 1, found record 2"),
    ):
        path.write_bytes(b"".join(changed))
        with pytest.raises(CorruptArchive, match=found):
            list(read(run))


WRITER = """
import os, sys
from evosearch.storage import journal
journal.SEGMENT_BYTES = 2000
log = journal.Journal.open(sys.argv[1])
print("open", flush=True)
while True:
    first = log.sequence
    for sequence in log.append_many({"kind": "note", "number": first + i - 1} for i in range(3)):
        os.write(1, b"%d\\n" % sequence)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_no_acknowledged_record_is_lost_by_sigkill(tmp_path):
    rng = random.Random(0)
    Journal.create(tmp_path, MANIFEST).close()
    acknowledged, took_over = 0, 0
    for _ in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        with child.stdout:
            assert child.stdout.readline() == b"open\n"
            time.sleep(rng.uniform(0, 0.1))
            child.kill()
            child.wait()
            told = [int(line) for line in child.stdout.read().splitlines()]
        acknowledged = max([acknowledged, *told])
        present = numbers(tmp_path)
        assert present == list(range(len(present)))
        assert len(present) + 1 >= acknowledged
        with Journal.open(tmp_path) as log:
            took_over += any("took over the lock" in notice for notice in log.notices)
    assert acknowledged > 0
    assert took_over == 6


class Fault:
    """Makes the n-th call of some functions of `os` fail, a write after half of its bytes."""

    def __init__(self, monkeypatch, names):
        self.remaining = -1
        for name in names:
            monkeypatch.setattr(os, name, self.wrap(name, getattr(os, name)))

    def wrap(self, name, function):
        def call(*args, **kwargs):
            self.remaining -= 1
            if self.remaining == 0:
                if name == "write":
                    function(args[0], bytes(args[1])[: len(args[1]) // 2])
                raise OSError(28, "No space left on device")
            return function(*args, **kwargs)

        return call


def test_any_call_to_the_system_may_fail(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 250)
    fault = Fault(monkeypatch, ["write", "fsync", "replace", "open", "ftruncate"])
    call, fault_came = 0, True
    while fault_came:
        call += 1
        directory = tmp_path / str(call)
        acknowledged = []
        fault.remaining = call
        with contextlib.suppress(RunError), Journal.create(directory, MANIFEST) as log:
            for number in range(6):
                log.append(note(number))
                acknowledged.append(number)
        fault_came = fault.remaining <= 0
        fault.remaining = -1
        if acknowledged or (directory / "journal" / "000001.jsonl").exists():
            log = Journal.open(directory)
        else:  # it failed before there was a run: the same call succeeds now
            log = Journal.create(directory, MANIFEST)
        with log:
            present = numbers(directory)
            assert present == list(range(len(present)))
            assert len(present) - len(acknowledged) in (0, 1)
            log.append(note(len(present)))
        assert numbers(directory) == list(range(len(present) + 1))
        assert not list(directory.rglob(".*"))
    assert call > 20


def test_opening_may_fail_at_any_call_and_loses_nothing(run, monkeypatch):
    last = max((run / "journal").iterdir())
    whole = last.read_bytes()
    fault = Fault(monkeypatch, ["write", "fsync", "replace", "open", "ftruncate"])
    call, fault_came = 0, True
    while fault_came:
        call += 1
        last.write_bytes(whole + b'{"seq":14')
        fault.remaining = call
        with contextlib.suppress(RunError):
            Journal.open(run).close()
        fault_came = fault.remaining <= 0
        fault.remaining = -1
        assert numbers(run) == list(range(12))
    assert call > 3


def test_after_a_failed_write_the_journal_takes_no_more(tmp_path, monkeypatch):
    log = Journal.create(tmp_path, MANIFEST)
    fault = Fault(monkeypatch, ["fsync"])
    fault.remaining = 1
    with pytest.raises(RunError, match=r"1 committed records are safe.*evosearch resume"):
        log.append(note(0))
    with pytest.raises(RunError, match="No space left"):
        log.append(note(0))
    log.close()
    with Journal.open(tmp_path) as log:
        assert log.append(note(0)) == 2


FULL_DISK = """
import resource, signal, sys
from evosearch.errors import RunError
from evosearch.storage.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
log = Journal.open(sys.argv[1])
try:
    while True:
        print(log.append({"kind": "note", "number": log.sequence - 1}), flush=True)
except RunError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_full_disk_stops_the_writer_and_loses_nothing(tmp_path):
    Journal.create(tmp_path, MANIFEST).close()
    child = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    *told, message = child.stdout.splitlines()
    assert "File too large" in message
    assert len(told) > 10
    with Journal.open(tmp_path) as log:
        assert "cut" not in str(log.notices)  # the writer took its half line back
        assert log.sequence == int(told[-1])
        log.append(note(len(told)))
    assert numbers(tmp_path) == list(range(len(told) + 1))
