from __future__ import annotations

from evosearch.library import default_rest, known
from evosearch.parse import parse_rules
from evosearch.program import RuleSet
from evosearch.rng import Rng
from evosearch.standing import Standing
from evosearch.tuning import Tuning, form

SIGNUM = "def r(w, g, m):\n    m = lerp(m, g, {})\n    u = sign(m)\n    return u, m\n"


def signum(rate: float):
    return parse_rules(SIGNUM.format(rate))


def standing(score: float, tier: int = 0) -> Standing:
    return Standing(tier, score, None, 1)


def test_a_form_ignores_constants_and_names_and_nothing_else() -> None:
    renamed = "def q(w, g, s):\n    s = lerp(s, g, 0.5)\n    x = sign(s)\n    return x, s\n"
    assert form(signum(0.1)) == form(signum(0.3)) == form(parse_rules(renamed))
    assert form(signum(0.1)) != form(known("lion"))
    swapped = SIGNUM.replace("lerp(m, g", "lerp(g, m")
    assert form(signum(0.1)) != form(parse_rules(swapped.format(0.1)))
    assert form(RuleSet(signum(0.1).matrix, default_rest())) != form(signum(0.1))


def test_the_best_form_of_a_size_is_tried_until_its_trials_fail_in_a_row() -> None:
    tuning = Tuning(tries=2)
    tuning.put(0, signum(0.1), standing(0.0))
    tuning.put(1, known("lion"), standing(-1.0))
    assert tuning.pick(2, Rng(0)) == 0
    tuning.put(2, signum(0.2), standing(-0.5))  # fails
    assert tuning.pick(2, Rng(0)) == 0
    tuning.put(3, signum(0.3), standing(0.5))  # succeeds: the count starts again
    tuning.put(4, signum(0.4), standing(0.1))
    assert tuning.pick(2, Rng(0)) == 3
    tuning.put(5, signum(0.6), standing(0.2))
    assert tuning.pick(2, Rng(0)) is None
    assert {tuning.pick(3, Rng(k)) for k in range(9)} == {1}


def test_every_size_up_to_the_largest_is_as_likely() -> None:
    tuning = Tuning(tries=2)
    tuning.put(0, known("lion"), standing(1.0))
    tuning.put(1, known("signum"), standing(0.0))
    tuning.put(2, known("adamw"), standing(2.0))
    picks = [tuning.pick(3, Rng(k)) for k in range(400)]
    assert set(picks) == {0, 1}
    assert 150 < picks.count(0) < 250


def test_a_re_evaluation_moves_the_best_and_is_no_trial() -> None:
    tuning = Tuning(tries=1)
    worse, better = signum(0.1), known("lion")
    tuning.put(0, worse, standing(0.0))
    tuning.put(0, worse, standing(-1.0))
    assert tuning.pick(2, Rng(0)) == 0
    tuning.put(1, signum(0.2), standing(-0.5))  # better than what is left of the best
    assert tuning.pick(2, Rng(0)) == 1
    tuning.put(2, better, standing(0.0, tier=1))
    assert tuning.pick(3, Rng(1)) in (1, 2)


def test_what_failed_or_has_nothing_to_change_is_left_alone() -> None:
    tuning = Tuning(tries=3)
    tuning.put(0, signum(0.1), standing(0.0))
    tuning.drop(7)
    tuning.drop(0)
    assert tuning.pick(9, Rng(0)) is None
    tuning.put(1, known("lion"), standing(0.0))
    tuning.close(1)
    assert tuning.pick(9, Rng(0)) is None
