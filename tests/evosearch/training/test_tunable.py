"""What may be tuned: axes that go on beyond their lists, and programs with other constants."""

import pickle

import pytest

from evosearch.language.known import KNOWN, known
from evosearch.language.parse import parse_rules
from evosearch.training.tunable import Axis, Kind, Tunable


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        (Axis("beta", (0.5, 0.9, 0.95), 1, Kind.DECAY), {3: 0.975, 0: 0.5, -1: 0.0, -2: None}),
        (Axis("beta", (0.0, 0.5), 0, Kind.DECAY), {2: None, -1: None}),
        (Axis("share", (0.0, 0.25, 0.5), 0, Kind.DECAY), {3: 0.667, -1: None}),
        (Axis("decay", (0.0, 0.01, 0.1), 0, Kind.FACTOR), {3: 1.0, -1: None}),
        (Axis("gain", (-3.0,), 0, Kind.FACTOR), {1: -6.0, -1: -1.5}),
        (Axis("rate", (0.5,), 0, Kind.RATE), {1: 0.667, -1: 0.333}),
        (Axis("power", (0.5,), 0, Kind.EXPONENT), {1: 0.75, -3: -0.25}),
    ],
)
def test_an_axis_goes_on_beyond_its_list(axis: Axis, expected: dict[int, float | None]) -> None:
    assert {k: axis.value(k) for k in expected} == pytest.approx(expected)


def test_a_decay_rate_never_reaches_1() -> None:
    axis = Axis("beta", (0.9, 0.99), 0, Kind.DECAY)
    values = [axis.value(k) for k in range(20)]
    ended = values.index(None)
    assert 0.999 < (values[ended - 1] or 0.0) < 1.0
    assert set(values[ended:]) == {None}


@pytest.mark.parametrize("name", KNOWN)
def test_a_program_begins_with_its_own_constants(name: str) -> None:
    tunable = Tunable.of(str(known(name)))
    assert parse_rules(tunable.start) == known(name)
    moved = tuple(1 for _ in tunable.axes)
    text = pickle.loads(pickle.dumps(tunable)).text(moved)  # it crosses processes
    assert text is not None
    assert (parse_rules(text) != known(name)) == bool(tunable.axes)


def test_a_correction_goes_with_its_average() -> None:
    tunable = Tunable.of(str(known("adamw")))
    assert [axis.name for axis in tunable.axes] == ["lerp m", "lerp v", "mul r"]
    text = tunable.write((0.3, 0.04, 0.5))
    for line in ("lerp(m, g, 0.3)", "debias(m, 0.7)", "lerp(v, g2, 0.04)", "debias(v, 0.96)"):
        assert line in text
    assert "s + 1e-08" in text


def test_constants_of_the_rest_are_axes_as_well() -> None:
    text = "def p(w, g):\n    u = g * 2.0\n    return u\n\n\ndef rest(w, g, m):\n"
    text += "    m = lerp(m, g, 0.1)\n    return m, m\n"
    tunable = Tunable.of(text)
    assert [axis.name for axis in tunable.axes] == ["mul u", "lerp m of the rest"]
    assert "lerp(m, g, 0.4)" in tunable.write((2.0, 0.4))


def test_nothing_of_a_fixed_program_moves() -> None:
    assert Tunable.fixed("text").axes == ()
    assert Tunable.fixed("text").start == "text"


def test_a_named_constant_is_one_axis() -> None:
    text = (
        "def p(w, g, m):\n    beta = 0.9\n    m = lerp(m, g, 1 - beta)\n    u = debias(m, beta)\n"
    )
    tunable = Tunable.of(text + "    return u, m\n")
    assert [axis.name for axis in tunable.axes] == ["beta"]
    moved = tunable.write((0.5,))
    assert "beta = 0.5" in moved
    assert "lerp(m, g, 1 - beta)" in moved


def test_axes_may_be_held() -> None:
    tunable = Tunable.of(str(known("lion")))
    one, other = (axis.name for axis in tunable.axes)
    assert tunable.only(other).write((0.3,)) == tunable.write((0.1, 0.3))
    assert pickle.loads(pickle.dumps(tunable.only(one))).start == tunable.start
    with pytest.raises(ValueError, match="no axis beta"):
        tunable.only("beta")


@pytest.mark.parametrize(
    ("matrix", "rest", "expected"),
    [
        (True, True, ["mul u", "lerp m of the rest"]),
        (True, False, ["mul u"]),
        (False, True, ["lerp m of the rest"]),
    ],
)
def test_constants_of_a_rule_without_parameters_are_no_axes(matrix, rest, expected) -> None:
    text = "def p(w, g):\n    u = g * 2.0\n    return u\n\n\ndef rest(w, g, m):\n"
    text += "    m = lerp(m, g, 0.1)\n    return m, m\n"
    acting = Tunable.of(text).on(matrix=matrix, rest=rest)
    assert [axis.name for axis in acting.axes] == expected
    assert acting.start == text
    everywhere = Tunable.of(str(known("lion")))
    assert everywhere.on(matrix=matrix, rest=rest) == everywhere
