"""The archive says what the journal says, whenever it was sealed and whatever the version."""

import csv
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sample_runs import MANIFEST, REFERENCE, candidate, write_search

from evosearch.errors import NewerFormat, RunInUse, UsageError
from evosearch.storage import codec, journal, parquet
from evosearch.storage.digest import digest
from evosearch.storage.hall_of_fame import find_flaws, write_hall_of_fame
from evosearch.storage.journal import Journal, read
from evosearch.storage.parquet import TABLES
from evosearch.storage.seal import candidates, evaluations, lineage, rebuild, seal, verify

GOLDEN = Path(__file__).parents[2] / "golden" / "run-v1"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of 24 candidates, of which the first was confirmed six times; several parquet."""
    monkeypatch.setattr("evosearch.storage.seal.PART_RECORDS", 5)
    return write_search(tmp_path / "run")


def content(directory):
    """Everything that the tables say."""
    return candidates(directory).to_pylist(), evaluations(directory).to_pylist()


def test_tables_have_what_the_journal_has(run):
    rows = {row["id"]: row for row in candidates(run).to_pylist()}
    for record in read(run):
        if record.kind == "pack":
            for entry in record.body["candidates"]:
                row = rows[entry["id"]]
                kept = {**entry, "program": entry["canonical"], "genome": entry["program"]}
                known = set(kept) & set(TABLES["candidates"]) - {"score", "score_se", "rounds"}
                assert {key: row[key] for key in known} == {key: kept[key] for key in known}
                assert row["pack"] == record.body["pack"]
    assert [row["id"] for row in candidates(run).to_pylist()] == list(range(24))
    assert set(TABLES["candidates"]) == set(rows[0])


def test_the_latest_confirmation_counts(run):
    first, second, *_ = candidates(run).to_pylist()
    assert (first["score"], first["score_se"], first["pack"]) == (105.0, 0.001, 0)
    assert (first["rounds"], first["replicates"]) == (7, [0, 1, 2, 3, 4, 5, 6])
    assert (second["score"], second["replicates"]) == (0.1, [0])


def test_each_trial_is_a_row(run):
    rows = evaluations(run).to_pylist()
    assert len(rows) == (24 + 6) * 3
    last = rows[-1]
    assert last == {
        "candidate": 0,
        "task": "digits",
        "replicate": 6,
        "seed": 2**63 + 6,
        "learning_rate": 0.001,
        "rest_learning_rate": 0.5,
        "ratio": 1.0,
        "value": 3.0,
        "best": False,
        "edge": False,
        "score": 105.0,
        "reference": 1.5,
        "sequence": 14,
    }
    assert rows[0]["value"] is None
    assert [row["best"] for row in rows[:6]] == [False, True, False] * 2


@pytest.mark.parametrize("sealed_after", range(1, 15))
def test_it_does_not_matter_when_parts_were_sealed(run, tmp_path, sealed_after):
    whole = content(run)
    with Journal.create(tmp_path / "copy", MANIFEST) as log:
        for record in list(read(run))[1:]:
            log.append(record.body)
            if log.sequence >= sealed_after and log.sequence % 3 == 0:
                seal(tmp_path / "copy")
    assert content(tmp_path / "copy") == whole
    assert verify(tmp_path / "copy") == []


def test_sealing_covers_each_record_once(run):
    files = seal(run)
    assert [path.name for path in files if path.parent.name == "candidates"] == [
        "000000001-000000005.parquet",
        "000000006-000000010.parquet",
        "000000011-000000014.parquet",
    ]
    assert seal(run) == []
    with Journal.open(run) as log:
        log.append({"kind": "note"})
    assert len(seal(run)) == 2


def test_parts_are_plain_parquet_with_documented_columns(run):
    path = seal(run)[0]
    schema = pq.read_schema(path)
    assert {field.name: field.metadata[b"doc"].decode() for field in schema} == {
        name: doc for name, (_, doc) in TABLES["candidates"].items()
    }
    about = json.loads(schema.metadata[b"evosearch"])
    assert (about["format"], about["first"], about["last"]) == (parquet.FORMAT, 1, 5)


def test_a_run_without_candidates_has_empty_tables(tmp_path):
    Journal.create(tmp_path, MANIFEST).close()
    for _ in range(2):
        assert content(tmp_path) == ([], [])
        assert candidates(tmp_path).column_names == list(TABLES["candidates"])
        seal(tmp_path)


def test_lineage_is_the_ancestors_oldest_first(tmp_path):
    parents = {0: [], 1: [], 2: [0], 3: [1, 2], 4: [2], 5: [3, 3], 6: [5, 0]}
    with Journal.create(tmp_path, MANIFEST) as log:
        log.append(REFERENCE)
        for number, of in parents.items():
            members = [candidate(number, parents=of)]
            log.append({"kind": "pack", "pack": number, "candidates": members})
    expected = {0: [0], 3: [0, 1, 2, 3], 4: [0, 2, 4], 6: [0, 1, 2, 3, 5, 6]}
    for number, ancestors in expected.items():
        assert lineage(tmp_path, number)["id"].to_pylist() == ancestors
    with pytest.raises(UsageError, match=r"ids from 0 to 6\), found 7"):
        lineage(tmp_path, 7)


def test_rebuilding_gives_the_same_and_needs_the_lock(run):
    whole = content(run)
    before = {path.name: path.read_bytes() for path in seal(run)}
    (run / "candidates" / "000000006-000000010.parquet").write_bytes(b"PAR1")
    assert {path.name: path.read_bytes() for path in rebuild(run)} == before
    assert content(run) == whole
    with Journal.open(run), pytest.raises(RunInUse):
        rebuild(run)


def test_a_newer_part_is_refused_with_the_version_to_install(run, monkeypatch):
    monkeypatch.setattr(parquet, "FORMAT", parquet.FORMAT + 1)
    monkeypatch.setattr(parquet, "writer", lambda: "evosearch 3.1.4")
    seal(run)
    monkeypatch.setattr(parquet, "FORMAT", parquet.FORMAT - 1)
    for attempt in (candidates, evaluations, seal):
        with pytest.raises(NewerFormat, match=r"pip install 'evosearch>=3\.1\.4'"):
            attempt(run)


def test_older_runs_are_read_through_the_migrations_and_sealed_again(run, monkeypatch):
    def shout(body):
        members = [
            {**entry, "mutation": entry["mutation"].upper()} if "mutation" in entry else entry
            for entry in body.get("candidates", ())
        ]
        return {**body, "candidates": members}

    seal(run)
    for module in (codec, journal, parquet):
        monkeypatch.setattr(module, "FORMAT", module.FORMAT + 1)
    monkeypatch.setitem(codec.MIGRATIONS, codec.FORMAT - 1, shout)
    for _ in range(2):
        assert set(candidates(run)["mutation"].to_pylist()) == {"INSERT"}
        seal(run)
    assert verify(run) == []


def test_a_run_of_the_first_release_still_reads(tmp_path):
    run = tmp_path / "run"
    shutil.copytree(GOLDEN, run)
    assert digest(read(run)) == (GOLDEN / "digest.txt").read_text().strip()
    assert verify(run) == []
    rows = candidates(run).to_pylist()
    assert [row["id"] for row in rows] == list(range(8))
    assert (rows[0]["score"], rows[0]["replicates"]) == (101.0, [0, 1, 2])
    with Journal.open(run) as log:
        log.append({"kind": "resumed"})
    seal(run)
    assert verify(run) == []


def test_the_hall_of_fame_is_readable_by_spreadsheets_and_programs(tmp_path):
    rows = [
        {"id": 3, "score": 0.1, "parents": [1, 2], "program": 'def f(w, g):\n    return "g", g'},
        {"id": 4, "score": None, "name": "ünï, <b>"},
    ]
    table, data = write_hall_of_fame(tmp_path, rows, 7)
    with table.open(newline="") as file:
        first, second = csv.DictReader(file)
    assert first == {"sequence": "7", **{key: str(first[key]) for key in rows[0]}, "name": ""}
    assert (first["program"], first["parents"]) == (rows[0]["program"], "[1, 2]")
    assert (second["name"], second["score"]) == ("ünï, <b>", "")
    assert json.loads(data.read_text()) == {"format": 3, "sequence": 7, "candidates": rows}
    before = data.read_bytes()
    with pytest.raises(UsageError, match="finite"):
        write_hall_of_fame(tmp_path, [{"score": float("nan")}], 7)
    assert data.read_bytes() == before
    write_hall_of_fame(tmp_path, [], 1)
    assert json.loads(data.read_text())["candidates"] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [table.name, data.name]


def test_every_byte_of_the_hall_of_fame_counts(tmp_path):
    rows = [{"id": 3, "score": 0.1, "name": 'a "b"', "parents": [1]}]

    def flaws():
        return find_flaws(tmp_path, 9, lambda sequence: rows if sequence == 7 else [])

    for path in write_hall_of_fame(tmp_path, rows, 7):
        intact = path.read_bytes()
        assert flaws() == []
        for index in range(len(intact)):
            for damaged in (
                intact[:index],
                intact[:index] + bytes([intact[index] ^ 1]) + intact[index + 1 :],
            ):
                path.write_bytes(damaged)
                (flaw,) = flaws()
                assert str(path) in flaw
                assert f"evosearch verify --rebuild {tmp_path}" in flaw
        path.write_bytes(intact)
    assert flaws() == []
    (tmp_path / "hall_of_fame.json").write_text('{"format": 2, "candidates": [{"id": 1}]}')
    (tmp_path / "hall_of_fame.csv").write_text("id,score\n1,0.5\n")
    assert flaws() == []  # as older versions wrote them


def test_an_older_hall_of_fame_is_right_about_its_time(tmp_path):
    write_hall_of_fame(tmp_path, [{"id": 3}], 7)
    assert find_flaws(tmp_path, 9, lambda sequence: [{"id": {7: 3}.get(sequence, 0)}]) == []
    for total in (6, 0):
        assert len(find_flaws(tmp_path, total, lambda _: [{"id": 3}])) == 2


@pytest.mark.slow
def test_a_hundred_thousand_candidates_stay_quick_and_small(tmp_path):
    import resource
    import time

    packs, size = 3125, 32
    with Journal.create(tmp_path, MANIFEST) as log:
        log.append(REFERENCE)
        for pack in range(packs):
            members = [candidate(pack * size + i) for i in range(size)]
            log.append({"kind": "pack", "pack": pack, "candidates": members})
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seal(tmp_path)
    assert time.monotonic() - start < 60
    assert candidates(tmp_path).num_rows == packs * size
    assert time.monotonic() - start < 70
    assert lineage(tmp_path, packs * size - 1).num_rows == packs * size
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 800_000  # kB
