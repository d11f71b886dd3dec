"""Text, data, LaTeX and optax: other forms of the same program."""

from __future__ import annotations

import json
import re
from typing import Any

import jax_stand_in
import numpy as np
import pytest
import torch
from evolved_programs import evolved
from exported_optimizers import FOLLOWED

from evosearch.errors import UsageError
from evosearch.export import export, export_json, export_latex, export_optax, export_text
from evosearch.export.jax_ops import JAX, OTHERWISE, kernels_in
from evosearch.language.known import known
from evosearch.language.liveness import strip_rules
from evosearch.language.parse import parse_rules
from evosearch.language.rule import RuleSet
from evosearch.training.codegen import CompiledRule, compile_rules
from primitives.op import Op
from primitives.table import OPS

PROGRAMS = [*map(known, FOLLOWED), *evolved()]
RATE = 1e-3


@pytest.mark.parametrize("rules", PROGRAMS, ids=lambda rules: rules.name)
def test_text_reads_back(rules: RuleSet) -> None:
    assert parse_rules(export_text(rules)) == strip_rules(rules)
    assert parse_rules(export_text(rules, name="other")) == strip_rules(rules).renamed("other")


def test_json_describes_the_program() -> None:
    data = json.loads(export_json(known("muon"), name="mine"))
    assert data["name"] == "mine"
    assert parse_rules(data["program"]) == known("muon").renamed("mine")
    assert data["matrix"]["hyperparameters"] == {"momentum": 0.95, "ns_steps": 5}
    assert data["matrix"]["states"] == [{"name": "m", "shape": "full"}]
    assert data["matrix"]["statements"][0] == {
        "target": "m",
        "op": "lerp",
        "arguments": ["m", "g", 0.05],
    }
    assert not data["matrix"]["rank_free"]
    assert data["rest"] is None
    assert json.loads(export_json(known("adamw")))["matrix"]["weight_decay"] == 0.01


@pytest.mark.parametrize("writer", [export, export_optax, export_text, export_latex])
def test_files_say_at_the_top_that_they_may_be_pasted_anywhere(writer: Any) -> None:
    assert writer(known("muon")).splitlines()[0][2:] == "SPDX-License-Identifier: 0BSD"
    assert json.loads(export_json(known("muon")))["license"] == "0BSD"


@pytest.mark.parametrize("writer", [export_text, export_json, export_optax])
def test_names_are_checked(writer: Any) -> None:
    with pytest.raises(UsageError, match="cannot name a"):
        writer(known("lion"), name="no name")


def test_latex_has_states_with_the_number_of_their_step() -> None:
    lion = export_latex(known("lion"))
    assert r"m_t &= \beta_{2} m_{t-1} + g_t \left(1 - \beta_{2}\right) \\" in lion
    assert r"\operatorname{sign}" in lion
    assert r"\beta_{1} = 0.9, \beta_{2} = 0.99" in lion
    adamw = export_latex(known("adamw"))
    assert r"w_t &= w_{t-1} - \gamma \left(u_t + \lambda w_{t-1}\right) \\" in adamw
    assert r"\varepsilon = 10^{-8}" in adamw
    muon = export_latex(known("muon"))
    assert "% hidden matrices" in muon
    assert r"\operatorname{NS}_{5}" in muon


@pytest.mark.parametrize("rules", PROGRAMS, ids=lambda rules: rules.name)
def test_latex_is_balanced(rules: RuleSet) -> None:
    text = export_latex(rules)
    assert text.count("{") == text.count("}")
    assert len(re.findall(r"\\left\b", text)) == len(re.findall(r"\\right\b", text))
    assert text.count(r"\begin{align*}") == text.count(r"\end{align*}")
    assert "Symbol" not in text
    assert "zoo" not in text


def _optax_run(rules: RuleSet, params: dict[str, Any], noise: dict[str, Any]) -> dict[str, Any]:
    scope = jax_stand_in.load(export_optax(rules, lr=RATE, rest_lr=RATE))
    optimizer = scope[scope["__all__"][0]]()
    jnp = scope["jnp"]
    weights = {name: jnp.asarray(w) for name, w in params.items()}
    state = optimizer.init(weights)
    for step in range(len(noise["matrix"])):
        grads = {name: noise[name][step] + 0.1 * w for name, w in weights.items()}
        updates, state = optimizer.update(grads, state, weights)
        weights = {name: w + updates[name] for name, w in weights.items()}
    return {name: np.asarray(w) for name, w in weights.items()}


def _evaluated(rule: CompiledRule, w: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    states = [w.new_zeros(shape.sizes(*w.shape)) for shape in rule.states]
    for t, g in enumerate(noise, start=1):
        u, *states = rule.update(w, g + 0.1 * w, float(t), *states)
        w = w - RATE * u
    return w


@pytest.mark.parametrize("rules", PROGRAMS, ids=lambda rules: rules.name)
def test_optax_goes_where_the_program_goes(rules: RuleSet) -> None:
    """A kernel of flax is the transpose of torch's: its last axis is the outputs."""
    generator = np.random.default_rng(0)
    params = {"matrix": generator.normal(size=(4, 6)), "vector": generator.normal(size=5)}
    noise = {name: generator.normal(size=(30, *w.shape)) for name, w in params.items()}
    with np.errstate(all="ignore"):
        found = _optax_run(rules, params, noise)
    compiled = compile_rules(rules)
    matrix = _evaluated(
        compiled.matrix,
        torch.tensor(params["matrix"].T.copy()),
        torch.tensor(noise["matrix"].swapaxes(1, 2).copy()),
    )
    vector = _evaluated(
        compiled.rest, torch.tensor(params["vector"][None]), torch.tensor(noise["vector"][:, None])
    )
    np.testing.assert_allclose(found["matrix"], matrix.T, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found["vector"], vector[0], rtol=1e-6, atol=1e-9)


def test_jax_forms_are_written_out_only_where_they_differ() -> None:
    for name, form in OTHERWISE.items():
        assert form != OPS[name].torch.replace("torch.", "jnp."), name


SQUARE = ("ii->ii", "ii->11", "ii,ii->ii")


@pytest.mark.parametrize("op", OPS.values(), ids=lambda op: op.name)
def test_forms_in_jax_are_the_ops(op: Op) -> None:
    """Against the table's numpy column."""
    generator = np.random.default_rng(0)
    low, high = max(op.domain[0], -2.0), min(op.domain[1], 2.0)
    size = (3, 3) if op.signature.text in SQUARE or op.arity == 2 else (4, 3)
    arguments = [generator.uniform(low + 0.05, high, size) for _ in range(op.arity)]
    if op.signature.text in SQUARE:
        arguments = [x @ x.T for x in arguments]
    if op.name == "basis_step":
        arguments[1] = np.linalg.qr(arguments[1])[0]
    constants = list(op.probes[0]) if op.probes else []
    names = [f"x{i}" for i in range(op.arity)]
    weights = [repr(constant) for constant in constants]
    rest = repr(1 - constants[0]) if op.name == "lerp" else ""
    expression = JAX[op.name].format(*names, *weights, rest=rest)
    body = f"def f({', '.join([*names, 't', 'g'])}):\n    return {expression}\n"
    source = "\n\n".join(["import jax.numpy as jnp", body, *kernels_in(body)])
    found = jax_stand_in.load(source)["f"](*arguments, 3.0, np.zeros(1))
    extra = [3.0] if op.uses_step else []
    expected = op.numpy(*arguments, *constants, *extra)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
