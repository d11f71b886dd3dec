"""Programs near the border of Muon and Lion, and what each is: ADR 1's bounds, one by one."""

from __future__ import annotations

import pytest

from evosearch.language.parse import parse_rules
from evosearch.recognize.recognize import recognize_rule
from evosearch.studies.rediscovery.criterion import TARGETS

STRICT, FORM, OTHER = "strict", "its form, not strict", "something else"


def _muon(average: str, read: str = "", after: str = "newton_schulz5(c)") -> str:
    return f"m = {average}; c = {read or 'm * 1.0'}; u = {after}"


def _lion(first: float, second: float) -> str:
    return f"c = lerp(m, g, {1 - first!r}); u = sign(c); m = lerp(m, g, {1 - second!r})"


MUON = {
    # how long the average remembers: 1 / (1 - beta) steps, 2 to 1,000
    _muon("lerp(m, g, 0.999)"): FORM,
    _muon("lerp(m, g, 0.6)"): FORM,
    _muon("lerp(m, g, 0.51)"): FORM,
    _muon("lerp(m, g, 0.5)"): STRICT,
    _muon("lerp(m, g, 0.1)"): STRICT,
    _muon("lerp(m, g, 0.02)"): STRICT,
    _muon("heavy_ball(m, g, 0.95)"): STRICT,
    _muon("heavy_ball(m, g, 0.3)"): FORM,
    # with Nesterov's look-ahead the newest gradient counts more
    _muon("lerp(m, g, 0.001)", "lerp(m, g, 0.5)"): STRICT,
    _muon("lerp(m, g, 0.0009)", "lerp(m, g, 0.5)"): FORM,
    _muon("lerp(m, g, 0.05)", "lerp(g, m, 0.95)"): STRICT,
    _muon("heavy_ball(m, g, 0.95)", "heavy_ball(m, g, 0.95)"): STRICT,
    # the gradient's share, .02 to .98
    _muon("lerp(m, g, 0.01)"): FORM,
    _muon("lerp(m, g, 0.1)", "lerp(g, m, 0.02)"): FORM,
    _muon("lerp(m, g, 0.1)", "lerp(g, m, 0.05)"): STRICT,
    _muon("lerp(m, g, 0.1)", "lerp(g, m, 0.0001)"): FORM,
    _muon("lerp(m, g, 0.1)", "lerp(m, g, 0.5)"): STRICT,
    _muon("lerp(m, g, 0.01)", "lerp(m, g, 0.02)"): STRICT,
    _muon("lerp(m, g, 0.01)", "lerp(m, g, 0.005)"): FORM,
    "m = heavy_ball(m, g, 0.9); x = m * 0.0001; c = g + x; u = newton_schulz5(c)": FORM,
    "m = lerp(m, g, 0.1); x = m * 0.0001; c = g + x; u = newton_schulz5(c)": FORM,
    # what is done to the gradient at one size only
    "x = clip(g, 100.0); m = lerp(m, x, 0.05); u = newton_schulz5(m)": OTHER,
    "x = clip(g, 10000.0); m = lerp(m, x, 0.05); u = newton_schulz5(m)": OTHER,
    "x = clip(g, 1.0); m = lerp(m, x, 0.05); u = newton_schulz5(m)": OTHER,
    "m = lerp(m, g, 0.05); c = clip(m, 100.0); u = newton_schulz5(c)": OTHER,
    "s = abs(g); s = s + 0.01; x = g / s; m = lerp(m, x, 0.05); u = newton_schulz5(m)": OTHER,
    "n = normalize(g); x = n * 0.01; x = x + g; m = lerp(m, x, 0.05); u = newton_schulz5(m)": OTHER,
    # other things on the way
    "x = rms_normalize(g); m = lerp(m, x, 0.05); u = newton_schulz5(m)": OTHER,
    "x = sign(g); m = lerp(m, x, 0.05); u = newton_schulz5(m)": OTHER,
    "m = lerp(m, g, 0.05); o = newton_schulz5(m); u = newton_schulz5(o)": OTHER,
    "m = lerp(m, g, 0.05); o = newton_schulz5(m); u = o + m": OTHER,
    "o = newton_schulz5(g); m = lerp(m, o, 0.05); u = m * 1.0": OTHER,
    "u = newton_schulz5(g)": OTHER,
    "u = newton_schulz5(m); m = lerp(m, g, 0.05)": OTHER,
    # spellings, and how the polar factor is found
    _muon("lerp(m, g, 0.05)", after="newton_schulz3(c)"): STRICT,
    _muon("lerp(m, g, 0.05)", after="polar_express(c)"): STRICT,
    "m = lerp(m, g, 0.05); o = newton_schulz5(m); u = spectral_scale(o)": STRICT,
    "m = lerp(m, g, 0.05); o = newton_schulz5(m); d = w * 0.1; u = o + d": FORM,
}
LION = {
    # the average written must remember longer than the one read, 2 to 1,000 steps
    _lion(0.9, 0.99): STRICT,
    _lion(0.5, 0.9): STRICT,
    _lion(0.7, 0.98): STRICT,
    _lion(0.9, 0.999): STRICT,
    _lion(0.9, 0.9992): FORM,
    _lion(0.3, 0.5): STRICT,
    _lion(0.3, 0.45): FORM,
    _lion(0.99, 0.9): FORM,
    _lion(0.95, 0.5): FORM,
    # one rate is Signum
    _lion(0.9, 0.9): OTHER,
    _lion(0.9, 0.9005): OTHER,
    _lion(0.9, 0.902): STRICT,
    # the gradient's share
    _lion(0.98, 0.99): STRICT,
    _lion(0.985, 0.99): FORM,
    _lion(0.02, 0.9): STRICT,
    _lion(0.01, 0.9): FORM,
    _lion(0.0001, 0.99): FORM,
    # other things
    "m = lerp(m, g, 0.1); c = lerp(g, m, 0.9); u = sign(c)": STRICT,
    "x = clip(g, 1.0); c = lerp(m, x, 0.1); u = sign(c); m = lerp(m, x, 0.01)": OTHER,
    "x = clip(g, 10000.0); c = lerp(m, x, 0.1); u = sign(c); m = lerp(m, x, 0.01)": OTHER,
    "c = lerp(m, g, 0.1); u = tanh(c); m = lerp(m, g, 0.01)": OTHER,
    "m = lerp(m, g, 0.1); a = sign(m); b = sign(g); u = a + b": OTHER,
    "c = lerp(m, g, 0.1); s = sign(c); d = w * 0.1; u = s + d; m = lerp(m, g, 0.01)": STRICT,
}
CASES = [("muon", *case) for case in MUON.items()] + [("lion", *case) for case in LION.items()]


def test_there_are_sixty() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize(("target", "body", "expected"), CASES)
def test_what_a_program_near_the_border_is(target: str, body: str, expected: str) -> None:
    lines = "".join(f"    {line.strip()}\n" for line in body.split(";"))
    rule = parse_rules(f"def candidate(w, g, m):\n{lines}    return u, m\n").matrix
    form = recognize_rule(rule)
    strict = form is not None and TARGETS[target].strict(form)
    named = form is not None and form.name == target
    assert (STRICT if strict else FORM if named else OTHER) == expected
