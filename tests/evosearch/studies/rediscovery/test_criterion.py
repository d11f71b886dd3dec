"""Verdicts on runs whose programs have known scores."""

from __future__ import annotations

import pytest
from told_scores import TASK, Teller, told_config, told_run

from evosearch.language.known import known
from evosearch.studies.rediscovery.criterion import TARGETS, judge

ADAMW, SIGNUM, LION, MUON = (str(known(name)) for name in ("adamw", "signum", "lion", "muon"))
SLOW_LION = """\
def slow(w, g, m):
    c = lerp(m, g, 0.3)
    u = sign(c)
    m = lerp(m, g, 0.001)
    return u, m
"""
SIGN_AND_SIGN = """\
def both(w, g, m):
    a = sign(m)
    b = sign(g)
    u = a + b
    m = lerp(m, g, 0.01)
    return u, m
"""
DECAYED_MUON = """\
def decayed(w, g, m):
    m = lerp(m, g, 0.05)
    o = newton_schulz5(m)
    d = w * 0.1
    u = o + d
    return u, m
"""
TRIVIAL = "def plain(w, g):\n    return g\n"


def verdict_of(tmp_path, packs, levels, *, target="lion", failing=(), noise=0.05, **details):
    teller = Teller(levels, noise, failing)
    run = told_run(tmp_path / "run", packs, teller, **details)
    return judge(run, TARGETS[target], teller.executor()), teller


def test_the_best_program_is_a_strict_hit_and_the_best(tmp_path):
    levels = {ADAMW: 0.0, SIGNUM: 0.3, LION: 0.6}
    verdict, _ = verdict_of(tmp_path, [[ADAMW, SIGNUM], [LION]], levels)
    assert (verdict.strict, verdict.family, verdict.best) == (True, True, True)
    assert verdict.hit.id == 2
    assert verdict.hit.form == "lion"
    assert verdict.hit.constants["beta1"] == pytest.approx(0.9)
    assert verdict.hit.constants["beta2"] == pytest.approx(0.99)
    assert verdict.hit.statements == 3
    assert verdict.rivals == ()


def test_cost_is_what_was_spent_when_the_first_hit_was_committed(tmp_path):
    levels = {ADAMW: 0.0, SIGNUM: 0.3, LION: 0.6, SIGN_AND_SIGN: 0.1, TRIVIAL: -1.0}
    verdict, _ = verdict_of(tmp_path, [[ADAMW, SIGNUM], [LION, TRIVIAL], [SIGN_AND_SIGN]], levels)
    first = verdict.first
    assert (first.id, first.proposals, first.evaluations) == (2, 20, 4)
    assert first.core_seconds == 3.0 + 5.0 + 5.0  # tuning AdamW, and two packs
    assert verdict.core_seconds == 3.0 + 3 * 5.0
    assert verdict.family_first.id == 1


def test_something_smaller_that_scores_better_leaves_the_family_only(tmp_path):
    levels = {ADAMW: 0.0, SIGNUM: 0.6, LION: 0.3}
    verdict, _ = verdict_of(tmp_path, [[ADAMW, SIGNUM], [LION]], levels)
    assert (verdict.strict, verdict.family, verdict.best) == (False, True, False)
    assert verdict.hit is None
    assert verdict.first is None
    assert verdict.closest.id == 2
    (rival,) = verdict.rivals
    assert (rival.id, rival.beyond, rival.smaller) == (1, True, True)
    assert rival.ahead == pytest.approx(0.3, abs=0.06)


def test_better_within_the_error_is_not_better(tmp_path):
    levels = {SIGNUM: 0.61, LION: 0.6}
    verdict, _ = verdict_of(
        tmp_path, [[SIGNUM, LION]], levels, noise=0.4, first_round={SIGNUM: 1.0}
    )
    assert verdict.strict
    assert not any(rival.beyond for rival in verdict.rivals)


def test_a_lucky_rival_is_evaluated_further_before_it_decides(tmp_path):
    levels = {SIGNUM: 0.3, LION: 0.6}
    verdict, teller = verdict_of(tmp_path, [[SIGNUM, LION]], levels, first_round={SIGNUM: 1.0})
    assert verdict.strict
    assert (SIGNUM, 2) in teller.evaluated
    assert verdict.rivals == ()


def test_a_lucky_target_does_not_count(tmp_path):
    levels = {SIGNUM: 0.6, LION: 0.3}
    verdict, _ = verdict_of(tmp_path, [[SIGNUM, LION]], levels, first_round={LION: 1.0})
    assert not verdict.strict


def test_a_verdict_rests_on_eight_fresh_seeds_a_task(tmp_path):
    verdict, teller = verdict_of(tmp_path, [[ADAMW, LION]], {ADAMW: 0.0, LION: 0.6})
    assert verdict.seeds_per_task == 8
    assert [r for text, r in teller.evaluated if text == LION] == [2, 4, 6, 8]
    assert verdict.hit.rounds == 5
    fresh = [teller.score(LION, replicate) for replicate in range(2, 10)]
    assert verdict.hit.score == pytest.approx(sum(fresh) / 8)


def test_a_larger_program_that_scores_better_is_reported_and_harmless(tmp_path):
    levels = {ADAMW: 0.0, LION: 0.6, SIGN_AND_SIGN: 0.9}
    verdict, _ = verdict_of(tmp_path, [[ADAMW, LION], [SIGN_AND_SIGN]], levels)
    assert verdict.strict
    assert not verdict.best
    (rival,) = verdict.rivals
    assert (rival.id, rival.beyond, rival.smaller) == (2, True, False)
    assert verdict.leader.id == 2


def test_a_smaller_program_with_more_memory_is_no_rival(tmp_path):
    hungry = (
        "def hungry(w, g, m, v):\n    m = lerp(m, g, 0.1)\n    v = lerp(v, m, 0.2)\n"
        "    return v, m, v\n"
    )
    verdict, _ = verdict_of(tmp_path, [[LION, hungry]], {LION: 0.6, hungry: 0.9})
    assert verdict.strict
    assert verdict.rivals[0].smaller is False


def test_a_target_that_did_not_pass_all_tiers_does_not_count(tmp_path):
    config = told_config(tiers=[{"tasks": ["least_squares"]}, {"tasks": ["digits_mlp"]}])
    levels = {ADAMW: 0.0, LION: 0.6}
    verdict, _ = verdict_of(tmp_path, [[LION]], levels, config=config, tiers={LION: 0})
    assert not verdict.family
    assert verdict.recognized == 0
    assert verdict.leader is None


def test_a_target_that_fails_on_further_seeds_does_not_count(tmp_path):
    class LateFailure(Teller):
        def outcome(self, text, replicates, tier=0, task=TASK):
            self.failing = [LION] if replicates[0] else []
            return super().outcome(text, replicates, tier, task)

    teller = LateFailure({ADAMW: 0.0, LION: 0.6})
    run = told_run(tmp_path / "run", [[ADAMW, LION]], Teller(teller.levels))
    verdict = judge(run, TARGETS["lion"], teller.executor())
    assert not verdict.strict
    assert verdict.leader.id == 0


def test_the_first_hit_is_one_that_counts_itself(tmp_path):
    levels = {SLOW_LION: 0.1, SIGNUM: 0.3, LION: 0.6}
    verdict, _ = verdict_of(tmp_path, [[SLOW_LION], [SIGNUM], [LION]], levels)
    assert verdict.hit.id == 2
    assert verdict.first.id == 2
    assert verdict.recognized == 2


def test_weight_decay_makes_muon_a_relative(tmp_path):
    levels = {ADAMW: 0.0, DECAYED_MUON: 0.5}
    verdict, _ = verdict_of(tmp_path, [[ADAMW, DECAYED_MUON]], levels, target="muon")
    assert (verdict.strict, verdict.family) == (False, True)


def test_muon_is_found_by_function_and_judged_on_the_rule_for_matrices(tmp_path):
    text = MUON.replace("def muon", "def something") + "\n\n" + TRIVIAL.replace("plain", "rest")
    levels = {ADAMW: 0.0, text: 0.5}
    verdict, _ = verdict_of(tmp_path, [[ADAMW, text]], levels, target="muon")
    assert verdict.strict
    assert verdict.hit.form == "muon"


def test_verdicts_are_repeatable(tmp_path):
    levels = {ADAMW: 0.0, SIGNUM: 0.58, LION: 0.6, SIGN_AND_SIGN: 0.62, SLOW_LION: 0.5}
    packs = [[ADAMW, SIGNUM], [SLOW_LION, LION], [SIGN_AND_SIGN]]
    first, _ = verdict_of(tmp_path / "a", packs, levels, noise=0.3)
    second, _ = verdict_of(tmp_path / "b", packs, levels, noise=0.3)
    assert first == second
