from __future__ import annotations

from hypothesis import given, settings
from random_programs import programs

from evosearch.equivalence.fingerprint import fingerprint
from evosearch.equivalence.shrink import shrink
from evosearch.language.check import check_rules
from evosearch.language.known import KNOWN, known
from evosearch.language.liveness import strip_rules
from evosearch.language.parse import parse_rules
from evosearch.language.rule import RuleSet


@given(programs())
@settings(max_examples=40)
def test_a_core_is_smaller_and_computes_the_same(program: RuleSet) -> None:
    core = shrink(program)
    check_rules(core)
    assert fingerprint(core) == fingerprint(program)
    assert strip_rules(core) == core
    assert len(core.matrix.body) <= len(strip_rules(program).matrix.body)
    assert shrink(core) == core


def test_what_has_no_effect_goes() -> None:
    rules = parse_rules(
        "def f(w, g, m, v):\n"
        "    m = lerp(m, g, 0.1)\n"
        "    g2 = square(g)\n"
        "    v = lerp(v, g2, 0.01)\n"
        "    s = sqrt(v)\n"
        "    a = m / s\n"
        "    b = a * 3.0\n"
        "    u = sign(b)\n"
        "    return u, m, v\n"
    )
    assert str(shrink(rules)) == (
        "def f(w, g, m):\n    m = lerp(m, g, 0.1)\n    u = sign(m)\n    return u, m\n"
    )


def test_the_rest_keeps_its_optimizer() -> None:
    """What is left may be rank-free where the whole was not; AdamW must still train the rest."""
    rules = parse_rules(
        "def f(w, g):\n    o = newton_schulz5(g)\n    z = o - o\n    u = g + z\n    return u\n"
    )
    core = shrink(rules)
    assert core.matrix.body == ()
    assert core.rest is not None
    assert fingerprint(core) == fingerprint(rules)


def test_known_optimizers_keep_what_matters() -> None:
    for name in KNOWN:
        assert fingerprint(shrink(known(name))) == fingerprint(known(name)), name
    assert shrink(known("lion")) == known("lion")
    assert shrink(known("muon")).matrix.body[0] == known("muon").matrix.body[0]
