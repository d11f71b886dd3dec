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
    known = {"measurements": (), "tier": 1, "rounds": 2}  # nobody is ahead on each task
    best = replace(first, id=1, score=0.5, error=0.1, statements=9, **known)
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


def test_one_that_is_ahead_on_each_task_comes_before_one_whose_mean_is_made_on_some(small_run):
    first = Run.open(small_run).top(1)[0]

    def scored(id_, statements, **by_task):
        """Return a candidate with these scores, by task and seed."""
        measured = tuple(
            replace(first.measurements[0], task=task, replicate=k, score=value)
            for task, values in by_task.items()
            for k, value in enumerate(values)
        )
        mean = sum(m.score for m in measured) / len(measured)
        known = {"id": id_, "statements": statements, "tier": 1, "rounds": 2}
        return replace(first, measurements=measured, score=mean, error=0.02, **known)

    lopsided = scored(1, 3, one=(0.9, 1.1), two=(-0.1, -0.2))
    within_noise = scored(2, 3, one=(0.5, 0.6), two=(0.0, 0.2))
    ahead = scored(3, 9, one=(0.3, 0.31), two=(0.2, 0.21))
    smaller = scored(4, 5, one=(0.29, 0.3), two=(0.2, 0.21))
    chosen = recommend([lopsided, within_noise, ahead, smaller])
    assert chosen.candidate is smaller
    assert "the best worst task of all such (#3, +0.205 ± 0.005 on two)" in chosen.reason
    assert recommend([lopsided, within_noise, ahead]).candidate is ahead
    higher_mean = scored(5, 3, one=(0.9, 0.91), two=(0.1, 0.11))
    assert recommend([higher_mean, ahead]).candidate is ahead
    nobody = recommend([lopsided, within_noise])
    assert nobody.candidate is lopsided
    assert "none is ahead of AdamW on each task" in nobody.reason
