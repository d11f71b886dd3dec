"""Two runs are compared by what their configuration and seeds determine."""

import pytest

from evosearch.storage.digest import compare, digest
from evosearch.storage.journal import Journal, read


def history(directory, *, score=0.5, info=1.0, extra=(), seed=7, packs=2):
    """Write a run that is determined by `score`, `seed` and `packs` alone."""
    manifest = {"config": {"a": 1}, "seeds": seed, "versions": info, "info": {}}
    with Journal.create(directory, manifest) as log:
        for pack in range(packs):
            candidate = {"id": pack, "score": score, "info": {"seconds": info}}
            log.append({"kind": "pack", "pack": pack, "candidates": [candidate], "info": info})
            log.append_many(extra)
    return directory


def test_histories_are_compared_without_what_may_differ(tmp_path):
    one = history(tmp_path / "1")
    faults = [{"kind": "fault"}, {"kind": "note"}, {"kind": "resumed"}]
    two = history(tmp_path / "2", info=2.0, extra=faults)
    assert compare(read(one), read(two)) is None
    assert digest(read(one)) == digest(read(two))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"score": 0.25},
            "step 2, pack 0: candidates[0].score is 0.5 in the first run and 0.25 in the second",
        ),
        ({"seed": 8}, "step 1, manifest: seeds is 7 in the first run and 8 in the second"),
        ({"packs": 1}, "the second ends before step 3, pack 1 of the first run"),
        ({"packs": 3}, "the first run ends before step 4, pack 2 of the second"),
        ({"score": None}, "step 2, pack 0: candidates[0].score is 0.5 in the first run and null"),
    ],
)
def test_the_first_difference_is_named(tmp_path, change, sentence):
    one, two = history(tmp_path / "1"), history(tmp_path / "2", **change)
    assert (compare(read(one), read(two)) or "").startswith(sentence)
    assert digest(read(one)) != digest(read(two))


def test_a_key_that_only_one_run_has_is_a_difference(tmp_path):
    for name, extra in (("1", {}), ("2", {"b": None})):
        Journal.create(tmp_path / name, {"config": extra, "seeds": 0}).close()
    found = compare(read(tmp_path / "1"), read(tmp_path / "2"))
    assert found == "step 1, manifest: config.b is absent in the first run and null in the second"
