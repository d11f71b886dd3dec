"""Every byte of a run, cut there or flipped: a prefix of what was written, or the damage named."""

import json

import pytest
from sample_runs import MANIFEST, REFERENCE, candidate, confirmation

from evosearch.errors import CorruptArchive, NewerFormat, RunNotFound
from evosearch.runs.history import History
from evosearch.runs.run import hall_of_fame_rows
from evosearch.storage.hall_of_fame import find_flaws, write_hall_of_fame
from evosearch.storage.journal import Journal, scan
from evosearch.storage.seal import candidates, evaluations, seal, verify

RECORDS = (
    REFERENCE,
    {"kind": "pack", "pack": 0, "candidates": [candidate(0, 0.25), candidate(1, 0.5)]},
    {"kind": "confirm", "pack": 1, "candidates": [confirmation(1, 0.75, 1)]},
    {"kind": "fault", "message": "a worker was lost"},
)


def everything(directory):
    """All that is said of a run, by its tables and by its history."""
    history = History.open(directory)
    return (
        candidates(directory).to_pylist(),
        evaluations(directory).to_pylist(),
        [found.to_json() for found in history.candidates.values()],
        [found.id for found in history.top(9)],
        history.faults,
    )


def flaws(directory):
    """All that `verify` says of files."""
    found = verify(directory)
    total = len(list(scan(directory))) if not found else 99
    rows = find_flaws(directory, total, lambda at: hall_of_fame_rows(History.open(directory, at)))
    return found + rows


def told(question, directory):
    """The answer to a question about a run as JSON, or what the error says."""
    try:
        return json.dumps(question(directory))
    except (CorruptArchive, NewerFormat, RunNotFound) as error:
        return str(error)


@pytest.fixture(scope="module")
def prefixes(tmp_path_factory):
    """What is said after each number of records."""
    found = {}
    for count in range(len(RECORDS) + 1):
        directory = tmp_path_factory.mktemp("prefix")
        with Journal.create(directory, MANIFEST) as log:
            for record in RECORDS[:count]:
                log.append(record)
        found[count] = everything(directory)
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("whole") / "run"
    with Journal.create(directory, MANIFEST) as log:
        for record in RECORDS[:2]:
            log.append(record)
        seal(directory)
        for record in RECORDS[2:]:
            log.append(record)
        seal(directory)
        write_hall_of_fame(directory, hall_of_fame_rows(History.open(directory)), log.sequence)
    return directory


@pytest.mark.parametrize("stride", [997, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_no_byte_is_read_as_something_else(run, prefixes, damage, stride):
    assert everything(run) == prefixes[len(RECORDS)]
    assert flaws(run) == []
    known = [json.dumps(state) for state in prefixes.values()]
    places = 0
    for path in sorted(path for path in run.rglob("*") if path.is_file() and path.name != "lock"):
        intact = path.read_bytes()
        for index in range(0, len(intact), stride):
            flipped = bytes([intact[index] ^ (1 << index % 8)])
            rest = flipped + intact[index + 1 :] if damage == "flipped" else b""
            path.write_bytes(intact[:index] + rest)
            places += 1
            where = f"{path.name}, byte {index}, {damage}"
            said = told(everything, run)
            prefix = said in known[:-1] and path.suffix == ".jsonl"
            assert said == known[-1] or prefix or path.name in said, where
            found = told(flaws, run)
            assert path.name in found or "holds records up to" in found, where
        path.write_bytes(intact)
    assert places > 20
    assert flaws(run) == []
