"""A record that is whole and says nonsense is named, and never computed with."""

import pytest
from sample_runs import MANIFEST, REFERENCE, candidate, confirmation

from evosearch.errors import CorruptArchive
from evosearch.runs.run import Run
from evosearch.storage.journal import Bodies, Journal
from evosearch.storage.seal import verify

PACK = {"kind": "pack", "pack": 1}
WHOLE = {"round": 0, "proposals": 9, "cache_hits": 0, "info": {}}


def trial(**fields):
    """A candidate with one field of its first trial replaced."""
    found = candidate(4)
    found["results"][0]["trials"][0] |= fields
    return found


def result(**fields):
    """A candidate with fields of its result replaced."""
    found = candidate(4)
    found["results"][0] |= fields
    return found


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (PACK | {"candidates": [candidate(4) | {"score": "high"}]}, "candidates.0.score"),
        (PACK | {"candidates": [candidate(4) | {"parents": [10**12]}]}, "lower ids"),
        (PACK | {"candidates": [candidate(4) | {"parents": [-1]}]}, "lower ids"),
        (PACK | {"candidates": [candidate(4) | {"tier": 0.5}]}, "candidates.0.tier"),
        (PACK | {"candidates": [candidate(4) | {"program": 7}]}, "candidates.0.program"),
        (PACK | {"candidates": [trial(value="low")]}, "results.0.trials.0.value"),
        (PACK | {"candidates": [trial(lr=None)]}, "results.0.trials.0.lr"),
        (PACK | {"candidates": [result(best=3)]}, '"best" to be the number of one of 3 trials'),
        (PACK | {"candidates": [result(best=-1)]}, '"best" to be the number'),
        (PACK | {"candidates": [result(edge="no")]}, "results.0.edge"),
        (PACK | {"candidates": 7}, "candidates"),
        (PACK, "candidates"),
        ({"kind": "confirm", "pack": 1, "candidates": [{"id": 0}]}, "candidates.0.status"),
        ({"kind": "confirm", "pack": 1, "candidates": [confirmation(99, 1.0, 1)]}, "candidate 99"),
        ({"kind": "reference", "task": 3, "values": []}, "task"),
        ({"kind": "reference", "task": "a", "values": ["x"]}, "values.0"),
        ({"kind": "extended", "evaluations": "many"}, "evaluations"),
        ({"kind": "fault"}, "message"),
    ],
)
def test_it_is_named_with_what_was_expected(tmp_path, record, expected):
    with Journal.create(tmp_path, MANIFEST) as log:
        log.append(REFERENCE)
        log.append(record)
    with pytest.raises(CorruptArchive, match="version that wrote it is at fault") as caught:
        Run.open(tmp_path)
    assert expected in str(caught.value)
    if record["kind"] in {"pack", "confirm"}:
        (finding,) = verify(tmp_path)
        assert "000001.jsonl, line 4" in finding


@pytest.mark.parametrize("missing", list(WHOLE))
def test_a_search_needs_more_than_a_reader(tmp_path, missing):
    kept = {key: value for key, value in WHOLE.items() if key != missing}
    with Journal.create(tmp_path, MANIFEST) as log:
        log.append(REFERENCE | {"program": "", "edge": False, "losers": []})
        log.append(PACK | WHOLE | {"candidates": [candidate(4)]})
        assert len(list(Bodies(tmp_path))) == 2
        log.append(PACK | kept | {"candidates": [candidate(5)]})
    assert len(Run.open(tmp_path).history.candidates) == 2
    with pytest.raises(CorruptArchive, match=f'line 5.*expected a "{missing}", found none'):
        list(Bodies(tmp_path))
