"""Recognition is by function: every way to write a known optimizer counts, nothing else does."""

import numpy as np
import pytest

from benchmarks.bloat import bloated
from benchmarks.random_rule import random_rule
from evosearch.language.known import known
from evosearch.language.library import LIBRARY
from evosearch.language.parse import parse_rules
from evosearch.language.rule import Rule
from evosearch.mutation.rng import Rng
from evosearch.recognize.recognize import recognize, recognize_rule

FORMED = [name for name, row in LIBRARY.items() if row.form]
"""What is recognized with any constants."""


def rule(body: str, states: str = "m") -> Rule:
    lines = "".join(f"    {line.strip()}\n" for line in body.split(";"))
    parameters = ", ".join(["w", "g", *states.split()])
    results = ", ".join(["u", *states.split()])
    return parse_rules(f"def candidate({parameters}):\n{lines}    return {results}\n").matrix


@pytest.mark.parametrize("name", FORMED)
def test_a_known_optimizer_is_itself(name: str) -> None:
    found = recognize(known(name))
    assert found is not None
    assert found.name == name
    assert found.residual <= found.tolerance


@pytest.mark.parametrize("name", FORMED)
@pytest.mark.parametrize("seed", range(4))
def test_bloat_changes_nothing(name: str, seed: int) -> None:
    plain, raw = known(name).matrix, bloated(known(name).matrix, Rng(seed, name), rewrites=12)
    found, expected = recognize_rule(raw), recognize_rule(plain)
    assert found is not None
    assert expected is not None
    assert found.name == name
    assert dict(found.constants) == pytest.approx(dict(expected.constants), rel=1e-5)


@pytest.mark.parametrize(
    ("beta1", "beta2", "decay"), [(0.9, 0.99, 0.0), (0.95, 0.98, 0.1), (0.899, 0.996991, 0.4602)]
)
def test_lions_constants_are_recovered(beta1: float, beta2: float, decay: float) -> None:
    found = recognize_rule(
        rule(
            f"c = lerp(m, g, {1 - beta1}); s = sign(c); d = w * {decay}; u = s + d;"
            f"u = u * 0.0002; m = lerp(m, g, {1 - beta2})"
        )
    )
    assert found is not None
    assert found.name == "lion"
    assert found.constants["beta1"] == pytest.approx(beta1, rel=1e-7)
    assert found.constants["beta2"] == pytest.approx(beta2, rel=1e-7)
    assert found.constants.get("weight_decay", 0.0) == pytest.approx(decay, rel=1e-7)
    assert found.scale == pytest.approx(0.0002, rel=1e-7)


@pytest.mark.parametrize(
    ("name", "body", "constants"),
    [
        ("tiger", "m = lerp(m, g, 0.2); s = sign(m); u = s + w * 0.3", (0.8, 0.3)),
        (
            "moonlight_muon",
            "m = heavy_ball(m, g, 0.8); o = newton_schulz5(heavy_ball(m, g, 0.8));"
            "o = rms_scale(o); u = o + w * 0.02",
            (0.8, 0.02),
        ),
    ],
)
def test_constants_beside_a_weight_decay_are_recovered(
    name: str, body: str, constants: tuple[float, float]
) -> None:
    found = recognize_rule(rule(body))
    assert found is not None
    assert found.name == name
    assert found.constants["momentum"] == pytest.approx(constants[0], rel=1e-5)
    assert found.scale == pytest.approx(1.0, rel=1e-3)
    assert found.constants["weight_decay"] == pytest.approx(constants[1], rel=1e-3)


def test_lion_may_read_its_new_average() -> None:
    """c m' + (1 - c) g over m' = b m + (1 - b) g reads the old average with weight c b."""
    found = recognize_rule(rule("m = lerp(m, g, 0.1); c = lerp(g, m, 0.9); u = sign(c)"))
    assert found is not None
    assert found.name == "lion"
    assert found.constants["beta1"] == pytest.approx(0.81)
    assert found.constants["beta2"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    "body",
    [
        "m = lerp(m, g, 0.1); u = sign(m)",
        "m = heavy_ball(m, g, 0.9); u = sign(m)",
        "c = lerp(m, g, 0.1); u = sign(c); m = lerp(m, g, 0.1)",
        "m = lerp(m, g, 0.1); x = cube(m); u = sign(x)",
    ],
)
def test_one_rate_is_signum(body: str) -> None:
    found = recognize_rule(rule(body))
    assert found is not None
    assert found.name == "signum"
    assert found.constants["momentum"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("m = heavy_ball(m, g, 0.95); u = newton_schulz5(m)", "Muon with momentum 0.95"),
        (
            "m = heavy_ball(m, g, 0.95); c = heavy_ball(m, g, 0.95);"
            "o = newton_schulz3(c); u = rms_scale(o)",
            "Muon with Nesterov momentum 0.95 (3 Newton-Schulz steps)",
        ),
        (
            "m = lerp(m, g, 0.1); c = lerp(g, m, 0.7); o = polar_express(c); u = o * 3.0",
            "Muon with momentum 0.9 and read rate 0.63 (Polar Express)",
        ),
        (
            "m = lerp(m, g, 0.05); o = newton_schulz5(m); d = w * 0.02; u = o + d",
            "Muon with momentum 0.95 and weight decay 0.02",
        ),
    ],
)
def test_muons(body: str, words: str) -> None:
    found = recognize_rule(rule(body))
    assert found is not None
    assert found.name == "muon"
    assert str(found) == words


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            "m = lerp(m, g, 0.1); q = square(g); v = lerp(v, q, 0.001); s = sqrt(v);"
            "u = m / s; d = w * 0.01; u = u + d",
            "AdamW without bias correction, with β = (0.9, 0.999), no ε and weight decay 0.01",
        ),
        (
            "m = lerp(m, g, 0.1); q = g * g; v = heavy_ball(v, q, 0.95); a = debias(m, 0.9);"
            "b = debias(v, 0.95); b = b * 0.05; b = b + 1e-6; s = rsqrt(b); u = a * s",
            "Adam with β = (0.9, 0.95) and ε = 1e-06 under the root",
        ),
    ],
)
def test_adams(body: str, words: str) -> None:
    found = recognize_rule(rule(body, "m v"))
    assert found is not None
    assert str(found) == words


@pytest.mark.parametrize(
    ("body", "states"),
    [
        ("m = lerp(m, g, 0.1); c = g - m; u = sign(c)", "m"),  # the average taken away
        ("m = lerp(m, g, 0.1); c = g - m; u = normalize(c)", "m"),
        ("m = lerp(m, g, 0.1); a = sign(m); b = sign(g); u = a + b", "m"),
        ("m = lerp(m, g, 0.1); a = normalize(g); b = sign(m); u = a + b", "m"),
        ("x = clip(g, 1.0); c = lerp(m, x, 0.1); u = sign(c); m = lerp(m, x, 0.01)", "m"),
        ("c = lerp(m, g, 0.1); u = tanh(c); m = lerp(m, g, 0.01)", "m"),
        ("c = lerp(m, g, 0.1); c = heavy_ball(w, c, 0.01); u = sign(c); m = lerp(m, g, 0.01)", "m"),
        ("g = rms_normalize(g); c = lerp(m, g, 0.1); u = sign(c); m = lerp(m, g, 0.01)", "m"),
        ("v = lerp(v, g, 0.1); m = lerp(m, v, 0.1); u = sign(m)", "m v"),
        ("m = lerp(m, g, 0.1); u = cube(m)", "m"),
        ("u = sign(m); m = lerp(m, g, 0.1)", "m"),
        ("m = lerp(m, g, 0.1); u = neg(m)", "m"),
        ("m = m + g; u = sign(m)", "m"),
        ("g = rms_normalize(g); m = lerp(m, g, 0.05); u = newton_schulz5(m)", "m"),
        ("m = lerp(m, g, 0.05); o = newton_schulz5(m); u = sign(o)", "m"),
        ("m = lerp(m, g, 0.05); o = newton_schulz5(m); u = newton_schulz5(o)", "m"),
        ("x = newton_schulz5(g); m = lerp(m, x, 0.1); u = m * 1.0", "m"),
        ("x = newton_schulz5(g); u = x * 1.0; m = lerp(m, g, 0.1)", "m"),
        (
            "m = lerp(m, g, 0.1); q = square(m); v = lerp(v, q, 0.001); s = sqrt(v); u = m / s",
            "m v",
        ),
        ("m = lerp(m, g, 0.1); q = square(g); v = maximum(v, q); s = sqrt(v); u = m / s", "m v"),
        ("m = lerp(m, g, 0.1); n = rms(m); u = m / n", "m"),
        ("u = w * 0.1; m = lerp(m, g, 0.1)", "m"),
        # Lion until step 60, and until a state has counted to 200
        (
            "c = lerp(m, g, 0.1); s = sign(c); t1 = step(); k = t1 - 60.5; u = select(k, g, s);"
            "m = lerp(m, g, 0.01)",
            "m",
        ),
        (
            "c = lerp(m, g, 0.1); s = sign(c); n = n + 1.0; k = n - 200.0; u = select(k, g, s);"
            "m = lerp(m, g, 0.01)",
            "m n",
        ),
    ],
)
def test_near_misses_are_not_recognized(body: str, states: str) -> None:
    assert recognize_rule(rule(body, states)) is None


def test_random_programs_are_at_most_linear_or_signs() -> None:
    """Short random programs are often SGD in disguise, never by chance a whole known optimizer."""
    for seed in range(150):
        rng = Rng(seed, "recognize")
        found = recognize_rule(random_rule(rng, 1 + rng.below(10)))
        assert found is None or found.name in ("sgd", "momentum", "nesterov", "signsgd", "signum")


def test_both_rules_are_named() -> None:
    both = parse_rules(f"{known('muon')}\n\n{known('lion').matrix.renamed('rest')}")
    found = recognize(both)
    assert found is not None
    assert (
        str(found) == "Muon with Nesterov momentum 0.95, and Lion with β = (0.9, 0.99) for the rest"
    )


def test_recognition_as_data() -> None:
    found = recognize(known("lion"))
    assert found is not None
    data = found.to_json()
    assert data["name"] == "lion"
    assert data["constants"] == {"beta1": 0.9, "beta2": 0.99}
    assert np.isfinite(data["residual"])
