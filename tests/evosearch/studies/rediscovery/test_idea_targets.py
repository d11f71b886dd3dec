"""Targets that are ideas, and what is withheld from the searches for them."""

from __future__ import annotations

import pytest

from evosearch.config.schema import PRESETS, preset
from evosearch.language.known import KNOWN, known
from evosearch.language.library import LIBRARY
from evosearch.language.parse import parse_rules
from evosearch.mutation.space import ELITES
from evosearch.mutation.space import LIBRARY as ALL_KNOWN
from evosearch.recognize.recognize import recognize_rule
from evosearch.studies.rediscovery.criterion import TARGETS
from primitives.table import OPS

STRICT, FAMILY, OTHER = "strict", "family", "something else"

CUBIC = "x = x * 1.5 - x @ x.T @ x * 0.5; "
QUINTIC = "a = x @ x.T; x = x * 3.4445 - a @ x * 4.775 + a @ a @ x * 2.0315; "

ORTHOGONALIZATION = {
    "return newton_schulz5(g)": STRICT,
    "m = lerp(m, g, 0.1); return newton_schulz5(m)": STRICT,
    "return inv_sqrt(g @ g.T) @ g": STRICT,
    f"x = normalize(g); {6 * CUBIC}return x": STRICT,
    f"m = heavy_ball(m, g, 0.9); x = normalize(m); {6 * CUBIC}return x": STRICT,
    f"x = normalize(g); {2 * QUINTIC}return x": STRICT,
    f"x = normalize(g); {4 * CUBIC}return x": FAMILY,
    f"x = normalize(g); {2 * CUBIC}return x": OTHER,
    f"x = g; {6 * CUBIC}return x": OTHER,  # gradients have no one size
    "return 0.0 - newton_schulz5(g)": OTHER,  # uphill
    "return g": OTHER,
    "return sign(g)": OTHER,
    "return row_normalize(col_normalize(g))": OTHER,
    "return eig_basis(g @ g.T) @ g": OTHER,
}

PRECONDITIONER = {
    "a = a + g @ g.T; return inv_sqrt(a) @ g": STRICT,
    "a = lerp(a, g @ g.T, 0.05); return inv_fourth_root(a) @ g": STRICT,
    "b = lerp(b, g.T @ g, 0.05); m = lerp(m, g, 0.1); return m @ inv_sqrt(b)": STRICT,
    "a = lerp(a, g @ g.T, 0.1); b = lerp(b, g.T @ g, 0.1);"
    " return inv_fourth_root(a) @ g @ inv_fourth_root(b)": STRICT,
    "a = lerp(a, g @ g.T, 0.05); return a @ g": FAMILY,  # it spreads them
    "a = lerp(a, g @ g.T, 0.05); return inv_fourth_root(a) @ g + g * 9.0": FAMILY,
    "return inv_sqrt(g @ g.T) @ g": OTHER,  # keeps nothing
    "m = lerp(m, g, 0.1); return inv_sqrt(m @ m.T) @ m": OTHER,
    "a = lerp(a, g @ g.T, 0.05); return g * trace(inv_sqrt(a))": OTHER,
    "return newton_schulz5(g)": OTHER,
}

ADAM = {
    "m = lerp(m, g, 0.1); v = lerp(v, g**2, 0.001); return m / (sqrt(v) + 1e-8)": STRICT,
    "m = lerp(m, g, 0.2); v = lerp(v, g**2, 0.1); return m * rsqrt(v)": STRICT,
    "m = lerp(m, g, 0.1); v = lerp(v, g**2, 0.001);"
    " return debias(m, 0.9) / (sqrt(debias(v, 0.999)) + 1e-8)": STRICT,
    "m = lerp(m, g, 0.1); v = lerp(v, g**2, 0.001); return m / (sqrt(v) + 1e-8) + w * 0.01": FAMILY,
    "m = lerp(m, g, 0.001); v = lerp(v, g**2, 0.0001); return m / sqrt(v)": FAMILY,
    "v = lerp(v, g**2, 0.01); return g / sqrt(v)": OTHER,
    "v = lerp(v, g**2, 0.1); m = lerp(m, g / sqrt(v), 0.1); return m": OTHER,
    "m = lerp(m, g, 0.1); v = lerp(v, m**2, 0.01); return m / sqrt(v)": OTHER,
    "m = lerp(m, g, 0.1); return m": OTHER,
}
CASES = [
    (target, text, expected)
    for target, cases in (
        ("orthogonalization", ORTHOGONALIZATION),
        ("preconditioner", PRECONDITIONER),
        ("adam", ADAM),
    )
    for text, expected in cases.items()
]


def verdict(target: str, rule) -> str:
    judge = TARGETS[target]
    found = (judge.recognizer or recognize_rule)(rule)
    if found is not None and judge.strict(found):
        assert judge.family(found)
        return STRICT
    return FAMILY if found is not None and judge.family(found) else OTHER


@pytest.mark.parametrize(("target", "text", "expected"), CASES)
def test_what_counts(target: str, text: str, expected: str) -> None:
    lines = [line.strip() for line in text.split(";")]
    read = {name: f"{name} = {name} + " in text or f"({name}, " in text for name in "mvab"}
    states = [s for s in ("m", "v", "a: left", "b: right") if read[s[0]]]
    returned = ", ".join([lines.pop().removeprefix("return "), *(s[0] for s in states)])
    head = f"def f({', '.join(['w', 'g', *states])}):"
    source = "\n    ".join([head, *lines, f"return {returned}"]) + "\n"
    assert verdict(target, parse_rules(source).matrix) == expected


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("orthogonalization", {"muon", "moonlight_muon", "scion"}),
        ("preconditioner", {"shampoo"}),  # the others adapt more slowly
        ("adam", {"adam"}),
    ],
)
def test_known_optimizers_that_have_it(target: str, names: set[str]) -> None:
    strict = {name for name in KNOWN if verdict(target, known(name).matrix) == STRICT}
    assert names <= strict


@pytest.mark.parametrize("name", ["kron", "soap", "soap_muon", "splus"])
def test_shampoos_family(name: str) -> None:
    assert verdict("preconditioner", known(name).matrix) in (FAMILY, STRICT)


@pytest.mark.parametrize("target", ["adam", "lion", "muon", "orthogonalization", "preconditioner"])
def test_no_donor_has_what_is_sought(target: str) -> None:
    for name in (p for p in PRESETS if p.startswith(f"rediscover-{target}")):
        space = preset(name).space
        assert ALL_KNOWN not in space.donors
        for donor in set(space.donors) - {ELITES}:
            assert verdict(target, known(donor).matrix) == OTHER


@pytest.mark.parametrize(
    ("target", "withheld"),
    [
        ("adam", {"sign", "minimum", "maximum", "clip", "clip_to", "tanh", "select"}),
        (
            "orthogonalization",
            {
                "newton_schulz3", "newton_schulz5", "polar_express", "quintic", "spectral_scale",
                "inv_sqrt", "inv_fourth_root", "eig_basis", "basis_step",
            },
        ),
        ("preconditioner", {"newton_schulz3", "newton_schulz5", "polar_express", "quintic"}),
    ],
)  # fmt: skip
def test_ops_that_are_the_answer_are_withheld(target: str, withheld: set[str]) -> None:
    ops = preset(f"rediscover-{target}").space.ops
    assert withheld <= OPS.keys()
    assert not withheld & set(ops)
    assert ops


def test_every_target_has_a_preset_and_a_definition() -> None:
    for name, target in TARGETS.items():
        assert f"rediscover-{name}" in PRESETS
        assert target.definition.startswith("docs/adr/")
        assert name not in LIBRARY or LIBRARY[name].sought is not None
