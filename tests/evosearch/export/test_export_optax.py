"""Exported optax files in real jax; an extra, which `make examples` installs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evolved_programs import evolved
from exported_optimizers import BASES
from interpreter import descended

from evosearch.export import export_optax
from evosearch.export.jax_ops import JAX, kernels_in
from evosearch.language.known import known
from evosearch.language.library import LIBRARY
from evosearch.language.parse import parse_rules
from evosearch.language.rule import RuleSet
from evosearch.training.codegen import CompiledRule, compile_rules
from primitives.op import Op
from primitives.table import OPS

jax = pytest.importorskip("jax", reason="`make examples` installs jax and optax")
optax = pytest.importorskip("optax", reason="`make examples` installs jax and optax")
jax.config.update("jax_enable_x64", True)

RATE = 1e-3
STEPS = 15
DISCOVERED = Path(__file__).parents[3] / "discovered"
FINDS = [
    parse_rules(json.loads(path.read_text(encoding="utf-8"))["export"]["program"])
    for path in sorted(DISCOVERED.glob("*.json"))
]
PROGRAMS = {rules.name: rules for rules in (*map(known, LIBRARY), *evolved())}
PROGRAMS |= {f"found {rules.name}": rules for rules in FINDS}
KEEPING = "def rule(w, g, m):\n    m = lerp(m, g, 0.1)\n    u = {}(m)\n    return u, m\n\n"
KEEPING += "def rest(w, g):\n    return g\n"
PROGRAMS |= {op.name: parse_rules(KEEPING.format(op.name)) for op in OPS.values() if op.keeps}


def _few() -> list[str]:
    """Return programs that use all ops that any of them uses, the one with most new ones first."""
    uses = {
        name: {s.op for rule in (p.matrix, p.rest) if rule for s in rule.body}
        for name, p in PROGRAMS.items()
        if name not in BASES  # which take long
    }
    chosen: list[str] = []
    left = set[str]().union(*uses.values())
    while left:
        chosen.append(max(uses, key=lambda name: len(uses[name] & left)))
        left -= uses[chosen[-1]]
    return chosen


FEW = _few()


def _load(source: str) -> dict[str, Any]:
    """Return the names that an exported file defines."""
    scope: dict[str, Any] = {"__name__": "exported"}
    exec(compile(source, "<exported>", "exec"), scope)
    return scope


def _maker(rules: RuleSet, **options: Any) -> Any:
    scope = _load(export_optax(rules, **options))
    return scope[scope["__all__"][0]]


def _run(optimizer: Any, params: dict[str, Any], noise: dict[str, Any]) -> dict[str, Any]:
    weights = {name: jax.numpy.asarray(w) for name, w in params.items()}
    state = optimizer.init(weights)
    for step in range(STEPS):
        grads = {name: noise[name][step] + 0.1 * w for name, w in weights.items()}
        updates, state = optimizer.update(grads, state, weights)
        weights = optax.apply_updates(weights, updates)
    return {name: np.asarray(w) for name, w in weights.items()}


def _evaluated(rule: CompiledRule, w: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    states = [w.new_zeros(shape.sizes(*w.shape)) for shape in rule.states]
    for t, g in enumerate(noise, start=1):
        u, *states = rule.update(w, g + 0.1 * w, float(t), *states)
        w = descended(rule.rule, w, u, RATE)
    return w


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in FEW else pytest.mark.slow) for n in PROGRAMS]
)
def test_optax_goes_where_the_program_goes(name: str) -> None:
    """A kernel of flax is the transpose of torch's: its last axis is the outputs."""
    rules = PROGRAMS[name]
    generator = np.random.default_rng(0)
    shape = (5, 5) if name in BASES else (4, 6)
    params = {"matrix": generator.normal(size=shape), "vector": generator.normal(size=5)}
    noise = {name: generator.normal(size=(STEPS, *w.shape)) for name, w in params.items()}
    found = _run(_maker(rules, lr=RATE, rest_lr=RATE)(), params, noise)
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


PARAMS = {"w": np.ones((4, 6)), "b": np.ones(5)}


def _jitted(optimizer: Any, steps: int = 3) -> dict[str, Any]:
    """Return where a constant gradient leads under jit."""

    @jax.jit
    def step(weights: Any, state: Any) -> Any:
        grads = jax.tree.map(lambda w: 0.1 * w + 0.2, weights)
        updates, state = optimizer.update(grads, state, weights)
        return optax.apply_updates(weights, updates), state

    weights = jax.tree.map(jax.numpy.asarray, PARAMS)
    state = optimizer.init(weights)
    for _ in range(steps):
        weights, state = step(weights, state)
    return weights


@pytest.mark.parametrize("name", ["lion", "adamw", "muon"])
def test_combinators_work_under_jit(name: str) -> None:
    make = _maker(known(name))
    plain = _jitted(make(learning_rate=0.01))
    injected = _jitted(optax.inject_hyperparams(make)(learning_rate=0.01))
    labels = {"w": "all", "b": "all"}
    multi = _jitted(optax.multi_transform({"all": make(learning_rate=0.01)}, labels))
    scheduled = _jitted(make(learning_rate=optax.constant_schedule(0.01)))
    for other in (injected, multi, scheduled):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), plain, other)
    masked = _jitted(optax.masked(make(learning_rate=0.01), {"w": True, "b": False}))
    np.testing.assert_allclose(masked["w"], plain["w"], rtol=1e-6)


def test_rates_of_two_rules() -> None:
    make = _maker(known("muon"))
    one = _jitted(make(learning_rate=0.02, backup_adamw_learning_rate=3e-4), steps=1)
    other = _jitted(make(), steps=1)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), one, other)
    np.testing.assert_allclose(1 - one["b"], 3e-4, rtol=1e-3)  # Adam's first step is its rate


@pytest.mark.parametrize(
    "options",
    [{"momentum": 1.0}, {"weight_decay": -1.0}, {"learning_rate": "1e-3"}, {"adjust_lr_fn": "x"}],
)
def test_values_are_refused_as_in_torch(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        _maker(known("muon"))(**options)


def test_parameters_are_asked_for() -> None:
    optimizer = _maker(known("lion"))()
    with pytest.raises(ValueError, match="needs the parameters"):
        optimizer.update(PARAMS, optimizer.init(PARAMS))


SQUARE = ("ii->ii", "ii->11", "ii,ii->ii")


@pytest.mark.parametrize("op", [op for op in OPS.values() if not op.keeps], ids=lambda op: op.name)
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
    source = "\n\n".join(["import jax\nimport jax.numpy as jnp", body, *kernels_in(body)])
    found = _load(source)["f"](*arguments, 3.0, np.zeros(1))
    extra = [3.0] if op.uses_step else []
    expected = op.numpy(*arguments, *constants, *extra)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
