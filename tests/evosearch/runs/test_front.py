"""The front and the recommendation: what stands on them, and that neither mixes tasks."""

from dataclasses import replace

import pytest

from evosearch.runs.front import COSTS, Scored, front, recommend
from evosearch.runs.history import History
from evosearch.runs.run import Run


@pytest.mark.parametrize("by", COSTS)
def test_nothing_of_its_size_or_less_beats_one_of_the_front(small_run, by):
    run = Run.open(small_run)
    found = front(run, by)
    tier = max(c.tier for c in run.history.candidates.values() if c.score is not None)
    scored = [c for c in run.history.candidates.values() if c.score is not None and c.tier == tier]
    for candidate in scored:
        cheaper = [c for c in scored if getattr(c, by) <= getattr(candidate, by)]
        beaten = any(c.rank > candidate.rank for c in cheaper)
        assert (candidate not in found) == beaten


def changed(run, edit):
    """Return a run whose candidates are changed."""
    history = History()
    for candidate in run.history.candidates.values():
        history.candidates.put(edit(candidate))
    return Run(run.directory, run.manifest, history)


def test_a_front_never_falls_whatever_the_tiers(small_run):
    """A larger candidate of more tasks with a lower score does not stand behind a smaller one."""
    run = changed(Run.open(small_run), lambda c: replace(c, tier=c.id % 2, statements=c.id % 5))
    found = front(run)
    assert {c.tier for c in found} == {1}
    assert [c.score for c in found] == sorted({c.score for c in found})
    assert [c.statements for c in found] == sorted({c.statements for c in found})


def test_those_that_led_are_those_better_than_all_before(small_run):
    scored = Scored.of(Run.open(small_run).history)
    leads = scored.leads().tolist()
    for at, score in enumerate(scored.scores.tolist()):
        assert (at in leads) == all(score > other for other in scored.scores[:at].tolist())


def test_the_smallest_within_one_standard_error_is_recommended(small_run):
    first = Run.open(small_run).top(1)[0]
    best = replace(first, id=1, score=0.5, error=0.1, statements=9, tier=1, rounds=2)
    near = replace(best, id=2, score=0.41, statements=4)
    far = replace(best, id=3, score=0.39, statements=2)
    once = replace(best, id=4, score=0.9, statements=1, rounds=1)
    fewer = replace(best, id=5, score=0.8, statements=1, tier=0)
    chosen = recommend([best, near, far, fewer, once])
    assert chosen.candidate is near
    assert "smallest within one standard error of the best (#1, +0.500 ± 0.100)" in chosen.reason
    assert recommend([best, far, fewer, once]).candidate is best
    assert recommend([once]).candidate is once
    assert "confirmed" in recommend([once]).reason
    assert recommend([]) is None
