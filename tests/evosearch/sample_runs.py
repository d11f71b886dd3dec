"""Runs for the tests of the journal and the archive."""

from evosearch import journal
from evosearch.journal import Journal, read

MANIFEST = {"config": {"window": 4}, "seeds": {"run": 7}, "info": {"host": "a"}}


def note(number):
    return {"kind": "note", "number": number, "text": "é\n\x00"}


def bodies(directory, after=0):
    return [record.body for record in read(directory, after)]


def numbers(directory):
    """Numbers of the notes, after checking that the sequence has no gap and begins with 1."""
    records = list(read(directory))
    assert [record.sequence for record in records] == list(range(1, len(records) + 1))
    return [record.body["number"] for record in records[1:]]


def small_run(directory, monkeypatch):
    """Write a run of 12 notes in several small segments."""
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 500)
    with Journal.create(directory, MANIFEST) as log:
        for number in range(12):
            log.append(note(number))
    assert len(list((directory / "journal").iterdir())) > 2
    return directory
