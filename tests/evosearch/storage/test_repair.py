"""A damaged run is cut back to what is sound, and then is the run that it was."""

import shutil

import pytest
from fake_evaluation import config_of, perform

from evosearch.errors import CorruptArchive, NewerFormat, RunInUse, RunNotFound
from evosearch.runs.run import Run
from evosearch.storage.digest import compare
from evosearch.storage.journal import Journal, read
from evosearch.storage.repair import repair
from evosearch.storage.seal import seal, verify
from evosearch.workers.executor import LocalExecutor


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run of several segments and parts; tests only read it."""
    directory = tmp_path_factory.mktemp("runs") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evosearch.storage.journal.SEGMENT_BYTES", 9000)
        patch.setattr("evosearch.storage.seal.PART_RECORDS", 5)
        Run.create(directory, config_of()).search(LocalExecutor(perform))
    assert len(list((directory / "journal").iterdir())) > 3
    assert len(list((directory / "candidates").iterdir())) > 2
    return directory


@pytest.fixture
def run(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    return tmp_path / "run"


def files(directory):
    """Return the content of all files of a directory by relative path."""
    paths = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


def flip(path, place):
    """Change a byte at a share of a file."""
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 4
    path.write_bytes(content)


DAMAGES = {
    "a byte": lambda run: flip(run / "journal" / "000002.jsonl", 0.5),
    "a header": lambda run: flip(run / "journal" / "000003.jsonl", 0),
    "the last segment": lambda run: flip(sorted((run / "journal").iterdir())[-1], 0.4),
    "a segment is gone": lambda run: (run / "journal" / "000002.jsonl").unlink(),
    "zeros": lambda run: (run / "journal" / "000003.jsonl").write_bytes(bytes(5000)),
    "empty": lambda run: (run / "journal" / "000002.jsonl").write_bytes(b""),
}


@pytest.mark.parametrize(
    "damage",
    [*list(DAMAGES)[:4], *(pytest.param(d, marks=pytest.mark.slow) for d in list(DAMAGES)[4:])],
)
def test_a_repaired_run_goes_on_to_the_same_history(run, whole, damage):
    DAMAGES[damage](run)
    damaged = files(run)
    with pytest.raises(CorruptArchive, match=f"evosearch resume --repair {run}"):
        Run.open(run)

    notice = repair(run)
    kept = Run.open(run)
    assert notice is not None
    assert kept.history.faults == [notice]
    assert f"{run / 'damaged-1'}" in notice
    assert not kept.history.finished
    assert kept.history.packs > 0

    now = files(run)
    for name, content in damaged.items():
        moved = f"damaged-1/{name.removeprefix('journal/')}"
        if name != "lock" and "journal/" in name and now.get(name) != content:
            assert now.get(moved) == content or now[name].startswith(content)
        if name.endswith(".parquet"):
            assert content in (now.get(name), now.get(moved))

    again = kept.search(LocalExecutor(perform))
    assert again.state == "finished"
    assert compare(read(whole), read(run)) is None
    assert verify(run) == []
    assert repair(run) is None


def test_a_sound_run_is_left_alone(run):
    before = files(run)
    assert repair(run) is None
    assert files(run) == before


def test_a_journal_that_was_cut_short_between_records_is_seen_by_its_parts(run, whole):
    last = sorted((run / "journal").iterdir())[-1]
    lines = last.read_bytes().splitlines(keepends=True)
    last.write_bytes(b"".join(lines[:-1]))
    assert any("--repair" in finding for finding in verify(run))
    assert "not in the journal" in (repair(run) or "")
    Run.open(run).search(LocalExecutor(perform))
    assert compare(read(whole), read(run)) is None
    assert verify(run) == []


def test_it_can_be_repaired_twice(run, whole):
    flip(run / "journal" / "000003.jsonl", 0.5)
    repair(run)
    flip(run / "journal" / "000002.jsonl", 0.9)
    assert "damaged-2" in (repair(run) or "")
    Run.open(run).search(LocalExecutor(perform))
    assert compare(read(whole), read(run)) is None


def test_a_crash_in_the_middle_of_it_loses_nothing(run, whole, monkeypatch):
    seal(run)
    flip(run / "journal" / "000002.jsonl", 0.5)
    for call in range(1, 30):
        calls = 0

        def fail(*_, limit=call):
            nonlocal calls
            calls += 1
            if calls == limit:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("evosearch.storage.repair.sync_directory", fail)
            try:
                repair(run)
                break
            except KeyboardInterrupt:
                continue
    Run.open(run).search(LocalExecutor(perform))
    assert compare(read(whole), read(run)) is None
    assert verify(run) == []


def test_what_cannot_be_repaired(run, tmp_path, monkeypatch):
    with pytest.raises(RunNotFound):
        repair(tmp_path / "nothing")
    with Journal.open(run), pytest.raises(RunInUse):
        repair(run)
    monkeypatch.setattr("evosearch.storage.codec.FORMAT", 1)
    with pytest.raises(NewerFormat):
        repair(run)
    monkeypatch.undo()
    (run / "journal" / "000001.jsonl").write_bytes(b"")
    before = files(run)
    with pytest.raises(CorruptArchive, match="nothing can be kept"):
        repair(run)
    assert files(run) == before
