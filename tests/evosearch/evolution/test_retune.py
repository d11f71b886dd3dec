from __future__ import annotations

from evosearch.equivalence.core import Core, form
from evosearch.evolution.retune import Retuning
from evosearch.language.known import default_rest, known
from evosearch.language.parse import parse_rules
from evosearch.language.rule import RuleSet
from evosearch.mutation.rng import Rng

SIGNUM = "def r(w, g, m):\n    m = lerp(m, g, {})\n    u = sign(m)\n    return u, m\n"

NORMALIZED = parse_rules("""
def r(w, g, m):
    x = normalize(g)
    m = lerp(m, x, 0.1)
    u = sign(m)
    return u, m
""")


def normalized(rate: float):
    return parse_rules(str(NORMALIZED).replace("0.1", str(rate)))


def signum(rate: float):
    return parse_rules(SIGNUM.format(rate))


def test_a_form_ignores_constants_and_names_and_nothing_else() -> None:
    renamed = "def q(w, g, s):\n    s = lerp(s, g, 0.5)\n    x = sign(s)\n    return x, s\n"
    assert form(signum(0.1)) == form(signum(0.3)) == form(parse_rules(renamed))
    assert form(signum(0.1)) != form(known("lion"))
    swapped = SIGNUM.replace("lerp(m, g", "lerp(g, m")
    assert form(signum(0.1)) != form(parse_rules(swapped.format(0.1)))
    assert form(RuleSet(signum(0.1).matrix, default_rest())) != form(signum(0.1))


def test_the_best_form_of_a_size_is_tried_first() -> None:
    tuning = Retuning(fatigue=0.1)
    assert tuning.pick(9, Rng(0)) is None
    tuning.put(0, Core.known(known("lion")), 0.7, first=True)
    tuning.put(1, Core.known(NORMALIZED), 0.9, first=True)
    assert tuning.pick(2, Rng(0)) is None
    assert tuning.pick(3, Rng(0)) == 1


def test_every_size_up_to_the_largest_is_as_likely() -> None:
    tuning = Retuning(fatigue=0.1)
    for id_, name in enumerate(("lion", "signum", "adamw")):
        tuning.put(id_, Core.known(known(name)), 1.0 - id_, first=True)
    picks = [tuning.pick(3, Rng(k)) for k in range(400)]
    assert set(picks) == {0, 1}
    assert 150 < picks.count(0) < 250


def test_failed_trials_tire_and_a_success_rests() -> None:
    tuning = Retuning(fatigue=0.1)
    tuning.put(0, Core.known(NORMALIZED), 0.0, first=True)
    tuning.put(1, Core.known(known("lion")), -0.25, first=True)
    picks = []
    for id_ in range(2, 6):
        picks.append(tuning.pick(3, Rng(0)))
        tuning.put(id_, Core.known(normalized(0.05 * id_)), -0.5, first=True)
    assert picks == [0, 0, 0, 1]
    tuning.put(6, Core.known(normalized(0.7)), 0.1, first=True)
    assert tuning.pick(3, Rng(0)) == 6


def test_a_re_evaluation_moves_the_best_and_is_no_trial() -> None:
    tuning = Retuning(fatigue=10.0)
    tuning.put(0, Core.known(signum(0.1)), 0.0, first=True)
    tuning.put(0, Core.known(signum(0.1)), -1.0, first=False)
    assert tuning.pick(2, Rng(0)) == 0
    better = -0.5  # than what is left of the best
    tuning.put(1, Core.known(signum(0.2)), better, first=True)
    assert tuning.pick(2, Rng(0)) == 1


def test_a_closed_form_is_left_alone_until_it_improves() -> None:
    tuning = Retuning(fatigue=0.1)
    tuning.put(0, Core.known(signum(0.1)), 0.0, first=True)
    for _ in range(2):
        tuning.close(form(signum(0.1)))
    assert tuning.pick(2, Rng(0)) is None
    tuning.put(1, Core.known(signum(0.2)), 0.5, first=True)
    assert tuning.pick(2, Rng(0)) == 1


def test_a_re_evaluation_of_another_than_the_best_tires_nobody() -> None:
    tuning = Retuning(fatigue=0.1)
    tuning.put(0, Core.known(known("lion")), 0.0, first=True)
    tuning.put(1, Core.known(NORMALIZED), 0.25, first=True)
    tuning.put(2, Core.known(normalized(0.2)), 0.0, first=True)
    for _ in range(5):
        tuning.put(2, Core.known(normalized(0.2)), 0.1, first=False)
    assert tuning.pick(3, Rng(0)) == 1  # 0.25 less one failure is above 0.0, less two it is not
    tuning.put(3, Core.known(normalized(0.3)), 0.0, first=True)
    tuning.put(4, Core.known(normalized(0.4)), 0.0, first=True)
    assert tuning.pick(3, Rng(0)) == 0


def test_a_re_evaluation_may_make_another_the_best() -> None:
    tuning = Retuning(fatigue=0.1)
    tuning.put(0, Core.known(signum(0.1)), 0.0, first=True)
    tuning.put(1, Core.known(signum(0.2)), -1.0, first=True)
    tuning.put(1, Core.known(signum(0.2)), 0.5, first=False)
    assert tuning.pick(2, Rng(0)) == 1


def test_of_equal_forms_and_of_equals_of_a_form_the_first_is_tried() -> None:
    tuning = Retuning(fatigue=0.1)
    tuning.put(0, Core.known(known("lion")), 0.0, first=True)
    tuning.put(1, Core.known(NORMALIZED), 0.0, first=True)
    assert tuning.pick(3, Rng(0)) == 0
    for id_ in (2, 3):  # an equal score is a failure
        tuning.put(id_, Core.known(normalized(0.1 * id_)), 0.0, first=True)
    tuning.close(form(known("lion")))
    assert tuning.pick(3, Rng(0)) == 1


def test_after_a_success_a_form_is_as_fresh_as_at_first() -> None:
    tuning = Retuning(fatigue=0.1)
    tuning.put(0, Core.known(known("lion")), 0.0, first=True)
    tuning.put(1, Core.known(NORMALIZED), 0.0, first=True)
    for id_ in (2, 3, 4):
        tuning.put(id_, Core.known(normalized(0.1 * id_)), -1.0, first=True)
    tuning.put(5, Core.known(normalized(0.7)), 0.15, first=True)
    assert tuning.pick(3, Rng(0)) == 5
    tuning.put(6, Core.known(normalized(0.8)), 0.0, first=True)
    assert tuning.pick(3, Rng(0)) == 5
    tuning.put(7, Core.known(normalized(0.9)), 0.0, first=True)
    assert tuning.pick(3, Rng(0)) == 0


def test_sizes_whose_forms_are_all_closed_are_not_drawn() -> None:
    tuning = Retuning(fatigue=0.1)
    tuning.put(0, Core.known(signum(0.1)), 0.0, first=True)
    tuning.put(1, Core.known(known("lion")), 0.0, first=True)
    tuning.close(form(signum(0.1)))
    assert {tuning.pick(3, Rng(k)) for k in range(20)} == {1}


def test_a_form_whose_best_failed_is_as_good_as_new() -> None:
    tuning = Retuning(fatigue=0.1)
    tuning.put(0, Core.known(signum(0.1)), 0.9, first=True)
    tuning.drop(0, Core.known(signum(0.1)).form)
    tuning.put(1, Core.known(signum(0.3)), 0.2, first=True)
    assert tuning.pick(9, Rng(0)) == 1
    tuning.drop(1, Core.known(signum(0.3)).form)
    tuning.drop(1, Core.known(signum(0.3)).form)
    assert tuning.pick(9, Rng(0)) is None


def test_a_form_of_which_another_than_the_best_failed_is_closed() -> None:
    tuning = Retuning(fatigue=0.1)
    tuning.put(0, Core.known(signum(0.1)), 0.9, first=True)
    tuning.put(1, Core.known(signum(0.3)), 0.2, first=True)
    tuning.drop(1, Core.known(signum(0.3)).form)
    assert tuning.pick(9, Rng(0)) is None
    tuning.put(2, Core.known(signum(0.2)), 1.2, first=True)
    assert tuning.pick(9, Rng(0)) == 2
