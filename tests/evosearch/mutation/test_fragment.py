from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from interpreter import initial_states, run
from random_programs import bred, seeds

from evosearch.equivalence.fingerprint import rule_fingerprint
from evosearch.language.check import check_rule, infer
from evosearch.language.known import KNOWN, known
from evosearch.language.liveness import strip
from evosearch.language.parse import parse_rules
from evosearch.language.rule import Rule, RuleSet, State
from evosearch.mutation.fragment import Fragment, cut, graft, slices
from evosearch.mutation.rng import Rng
from evosearch.mutation.site import draw_site

SGD = Rule("f", (), (), "g")
OWN = {"g": "g", "w": "w"}
UPDATE = (0, 0)


def rule(text: str) -> Rule:
    return parse_rules(text).matrix


def of_update(name: str) -> Fragment:
    """Return all that a known optimizer's update is made of."""
    whole = known(name).matrix
    last = max(k for k, s in enumerate(whole.body) if s.target == whole.update)
    return cut(whole, last)


@pytest.mark.parametrize("name", [name for name in KNOWN if name != "sgd"])
def test_a_slice_of_all_that_an_update_is_made_of_is_the_optimizer(name: str) -> None:
    fragment = of_update(name)
    child = check_rule(graft(SGD, UPDATE, fragment, OWN))
    assert rule_fingerprint(child) == rule_fingerprint(known(name).matrix)
    assert len(child.body) <= len(strip(known(name).matrix).body)
    assert parse_rules(str(child)) == RuleSet(child)  # constants keep their ties


def test_a_slice_holds_what_its_value_is_made_of_and_no_more() -> None:
    adamw = known("adamw").matrix
    found = {str(f.body[-1]): f for f in slices(adamw)}
    assert [str(s) for s in found["v2 = debias(s0, 0.9)"].body] == [
        "s0 = lerp(s0, g, 0.1)",
        "v2 = debias(s0, 0.9)",
    ]
    assert "v1 = w * 0.01" not in found  # knows nothing of the gradient
    assert all(f.inputs == (State("g"),) for f in found.values() if "w" not in str(f.body))


def test_a_motif_is_cut_off_at_a_depth_and_what_lies_before_is_open() -> None:
    adamw = known("adamw").matrix
    d = next(k for k, s in enumerate(adamw.body) if s.target == "d")
    motif = cut(adamw, d, depth=2)
    assert [str(s) for s in motif.body] == ["v1 = sqrt(i0)", "v2 = v1 + 1e-08"]
    assert motif.inputs == (State("i0"),)
    assert motif.states == ()


GRAM = """
def f(w, g, a: left):
    a = lerp(a, g @ g.T, 0.05)
    return inv_sqrt(a) @ g, a
"""
RIGHT = """
def f(w, g, a: right):
    a = lerp(a, g.T @ g, 0.05)
    return g @ inv_sqrt(a), a
"""


def test_the_gradient_is_replaced_everywhere_or_but_for_what_is_kept() -> None:
    momentum = rule("def f(w, g, m):\n    m = lerp(m, g, 0.1)\n    return m, m\n")
    fragment = cut(rule(GRAM), 3)
    everywhere = graft(momentum, (1, 0), fragment, {"g": "m"})
    assert "gram_left(m)" in str(everywhere)
    assert "matmul(x2, m)" in str(everywhere)
    kept = graft(momentum, (1, 0), fragment, {"g": "m"}, kept=("g",))
    assert "gram_left(g)" in str(kept)
    assert "matmul(x2, m)" in str(kept)


def test_what_is_done_to_rows_is_done_to_columns() -> None:
    left, right = (cut(rule(text), 3) for text in (GRAM, RIGHT))
    mirrored = left.mirrored
    assert mirrored is not None
    assert [s.op for s in mirrored.body] == [s.op for s in right.body]
    assert rule_fingerprint(graft(SGD, UPDATE, mirrored, OWN)) == rule_fingerprint(rule(RIGHT))
    assert (
        cut(rule("def f(w, g):\n    u = eig_basis(g @ g.T)\n    return u @ g\n"), 1).mirrored
        is None
    )


def updates(rule: Rule, gradients: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    w = torch.ones_like(gradients[0])
    states, found = initial_states(rule, w), []
    for t, g in enumerate(gradients, 1):
        update, states = run(rule, w, g, t, states)
        found.append(update)
    return found


@pytest.mark.parametrize("name", [name for name in KNOWN if name != "sgd"])
def test_a_mirror_image_is_the_transpose_of_what_the_transpose_gives(name: str) -> None:
    fragment = of_update(name)
    mirrored = fragment.mirrored
    if mirrored is None:
        assert fragment.ops & {"eig_basis", "basis_step", "triu", "spectral_scale", "rms_scale"}
        return
    assert mirrored.mirrored == fragment
    torch.manual_seed(0)
    gradients = [torch.randn(5, 3, dtype=torch.float64) for _ in range(4)]
    plain = updates(graft(SGD, UPDATE, fragment, OWN), [g.mT for g in gradients])
    turned = updates(graft(SGD, UPDATE, mirrored, OWN), gradients)
    for a, b in zip(plain, turned, strict=True):
        torch.testing.assert_close(a.mT, b, rtol=1e-6, atol=1e-9)


@given(seeds, seeds)
@settings(max_examples=60)
def test_grafts_of_bred_programs_are_legal_wherever_the_shape_fits(a: int, b: int) -> None:
    host, donor, rng = bred(a).matrix, strip(bred(b).matrix), Rng(a, b)
    for fragment in slices(donor):
        site = draw_site(host, rng)
        child = graft(host, site, fragment, OWN)
        assert len(child.body) == len(host.body) + len(fragment.body)
        shapes = infer(graft(SGD, UPDATE, fragment, OWN) if fragment.shape == ("m", "n") else host)
        assert shapes is not None
