"""Runs for the tests of the journal and the archive."""

from evosearch.storage import journal
from evosearch.storage.journal import Journal, read

MANIFEST = {"config": {"window": 4}, "seeds": {"run": 7}, "info": {"host": "a"}}
REFERENCE = {"kind": "reference", "task": "digits", "values": [n / 4 for n in range(8)]}


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


def candidate(number, score=0.5, *, replicate=0, **fields):
    """Return a candidate of a pack record, bred from the two before it."""
    trials = [
        {
            "lr": 10.0**-power,
            "rest_lr": 0.5,
            "ratio": 1.0,
            "value": None if power == 1 else power + number / 8,
        }
        for power in (1, 2, 3)
    ]
    result = {"task": "digits", "replicate": replicate, "seed": 2**63 + replicate, "best": 1}
    return {
        "id": number,
        "parents": [parent for parent in (number - 2, number - 1) if parent >= 0],
        "mutation": "insert",
        "program": f"def rule(w, g):\n    u = mul(g, {number}.0)\n    return u\n",
        "canonical": f"def rule(w, g):\n    return mul(g, {number}.0)\n",
        "fingerprint": f"{number:016x}",
        "statements": 1,
        "states": 0,
        "state_memory": 0.0,
        "cost": 2.0,
        "status": "ok",
        "message": "",
        "tier": 0,
        "score": score,
        "score_se": 0.01,
        "rounds": 1,
        "results": [{**result, "score": score, "edge": False, "trials": trials}],
        "comment": "a key that the archive does not know",
        **fields,
    }


def confirmation(number, score, replicate):
    """Return a candidate of a confirm record."""
    full = candidate(number, score, replicate=replicate)
    kept = {key: full[key] for key in ("id", "status", "message", "tier", "score", "results")}
    return kept | {"score_se": 0.001, "rounds": replicate + 1}


def write_search(directory, packs=6, size=4):
    """Write a run whose packs bring `size` candidates each, the first confirmed after each pack."""
    with Journal.create(directory, MANIFEST) as log:
        log.append(REFERENCE)
        for pack in range(packs):
            members = [candidate(pack * size + i, pack + i / 10) for i in range(size)]
            log.append({"kind": "pack", "pack": pack, "proposals": 9, "candidates": members})
            best = confirmation(0, 100.0 + pack, 1 + pack)
            log.append({"kind": "confirm", "pack": pack, "candidates": [best]})
    return directory
