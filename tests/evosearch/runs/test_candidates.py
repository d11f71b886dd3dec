from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evosearch.runs.candidate import Candidate
from evosearch.runs.candidates import CandidateMap

FIRST = Candidate(
    id=0,
    parents=(),
    mutation="start",
    program_text="",
    genome_text="",
    fingerprint="",
    statements=1,
    states=0,
    state_memory=0.0,
    cost=1.0,
    status="ok",
    message="",
    tier=0,
    score=0.0,
    error=None,
    rounds=1,
    measurements=(),
)
SCORES = st.none() | st.sampled_from([-1.0, 0.0, 0.5, 2.0])
PUTS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2), SCORES), max_size=30)


def candidate(id_: int, tier: int, score: float | None) -> Candidate:
    status = "diverged" if score is None else "ok"
    return replace(FIRST, id=id_, tier=tier, score=score, status=status)


@given(PUTS, st.integers(1, 6))
def test_it_is_a_mapping_that_ranks(puts: list[tuple[int, int, float | None]], n: int) -> None:
    found, expected = CandidateMap(), dict[int, Candidate]()
    for put in puts:
        found.put(candidate(*put))
        expected[put[0]] = candidate(*put)
    assert dict(found) == expected
    assert list(found) == sorted(expected)
    assert 13 not in found
    assert {s: k for s, k in found.statuses.items() if k} == {
        status: sum(c.status == status for c in expected.values())
        for status in {c.status for c in expected.values()}
    }
    scored = [c for c in expected.values() if c.score is not None]
    assert found.top(n) == sorted(scored, key=lambda c: c.rank, reverse=True)[:n]
    assert found.top(100) == sorted(scored, key=lambda c: c.rank, reverse=True)


def test_an_id_that_is_missing() -> None:
    found = CandidateMap()
    found.put(candidate(3, 0, 1.0))
    for id_ in (0, 2, 4, -1):
        assert id_ not in found
        with pytest.raises(KeyError):
            found[id_]
