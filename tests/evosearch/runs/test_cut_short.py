"""A journal that lost its last records: noticed on resuming, and nothing stale is left there."""

import shutil

import pytest
from fake_evaluation import config_of, perform

from evosearch.errors import CorruptArchive
from evosearch.runs.run import Run, rebuild
from evosearch.storage.journal import read
from evosearch.storage.seal import candidates, verify
from evosearch.workers.executor import LocalExecutor


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run; tests only read it."""
    directory = tmp_path_factory.mktemp("runs") / "whole"
    return Run.create(directory, config_of()).search(LocalExecutor(perform))


def cut(run, directory, records):
    """Copy a run without its last records, but with what was derived from them."""
    shutil.copytree(run.directory, directory)
    journal = directory / "journal" / "000001.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-records]))
    return directory


@pytest.mark.parametrize("records", [1, 2, 7])
def test_resuming_sets_stale_parts_aside_and_says_so(tmp_path, whole, records):
    directory = cut(whole, tmp_path / "cut", records)
    assert verify(directory) != []
    assert len(Run.open(directory).history.candidates) <= len(whole.history.candidates)
    parts = sorted(path.name for path in directory.glob("*/*.parquet"))
    run = Run.open(directory).search(LocalExecutor(perform))
    assert run.digest() == whole.digest()
    assert verify(directory) == []
    (fault,) = run.history.faults
    assert f"{directory / 'damaged-1'}" in fault
    assert "cut short after record" in fault
    assert sorted(path.name for path in directory.glob("damaged-1/*/*.parquet")) == parts
    columns = ("id", "score", "rounds", "program")
    found, expected = candidates(directory), candidates(whole.directory)
    assert found.select(columns).equals(expected.select(columns))


def test_rebuilding_does_not_destroy_what_shows_the_loss(tmp_path, whole):
    directory = cut(whole, tmp_path / "cut", 3)
    before = sorted(path.name for path in directory.glob("*/*.parquet"))
    with pytest.raises(CorruptArchive, match="resume --repair"):
        rebuild(directory)
    assert sorted(path.name for path in directory.glob("*/*.parquet")) == before


def test_rebuilding_brings_back_all_that_is_derived(tmp_path, whole):
    directory = tmp_path / "bare"
    shutil.copytree(whole.directory, directory)
    names = ("hall_of_fame.csv", "hall_of_fame.json", "parts.sha256")
    kept = {name: (directory / name).read_bytes() for name in names}
    for path in [*directory.glob("*/*.parquet"), *(directory / name for name in names)]:
        path.unlink()
    rebuild(directory)
    assert {name: (directory / name).read_bytes() for name in names} == kept
    assert verify(directory) == []


def test_a_longer_search_takes_no_notice(tmp_path, whole):
    directory = shutil.copytree(whole.directory, tmp_path / "longer")
    run = Run.open(directory).extend(60).search(LocalExecutor(perform))
    assert run.history.faults == []
    assert [record.kind for record in read(run.directory)].count("fault") == 0
