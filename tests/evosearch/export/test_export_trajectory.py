"""An exported optimizer goes where the evaluated program goes, and where its reference goes."""

from __future__ import annotations

import lion_pytorch
import muon
import pytest
import torch
from evolved_programs import evolved
from exported_optimizers import BASES, SUBJECTS, optimizer_of
from interpreter import descended
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from evosearch.language.known import known
from evosearch.language.parse import parse_rules
from evosearch.language.rule import RuleSet
from evosearch.training.codegen import CompiledRule, compile_rules

STEPS = 200
RATE = 1e-3
SHAPES = ((6, 4), (5,), (6, 4), (3, 6, 2, 2), (3, 2, 2, 2))
"""The last is a convolution of few channels, as of images, which is no hidden matrix."""
PROGRAMS = [*SUBJECTS, *evolved()]


class _Descent:
    """Parameters whose gradients are noise and a pull towards zero."""

    def __init__(self, dtype: torch.dtype, shapes: tuple[tuple[int, ...], ...] = SHAPES) -> None:
        generator = torch.Generator().manual_seed(0)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

        self.params = [Parameter(draw(*shape)) for shape in shapes]
        self.noise = [draw(STEPS, *shape) for shape in shapes]

    def gradient(self, i: int, step: int, w: Tensor) -> Tensor:
        return self.noise[i][step] + 0.1 * w

    def run(self, optimizer: Optimizer, steps: int = STEPS) -> list[Tensor]:
        for step in range(steps):
            for i, p in enumerate(self.params):
                p.grad = self.gradient(i, step, p.detach())
            optimizer.step()
        return [p.detach() for p in self.params]

    def evaluate(self, rules: RuleSet) -> list[Tensor]:
        """Return where the functions that the search evaluates lead."""
        compiled = compile_rules(rules)
        return [
            self._follow(compiled.matrix if _is_hidden(p) else compiled.rest, i, p.detach())
            for i, p in enumerate(self.params)
        ]

    def _follow(self, rule: CompiledRule, i: int, p: Tensor) -> Tensor:
        shape = p.shape
        w = p.flatten(1) if p.ndim > 1 else p.reshape(1, -1)
        states = [w.new_zeros(s.sizes(*w.shape)) for s in rule.states]
        for step in range(STEPS):
            g = self.gradient(i, step, w.view(shape)).view(w.shape)
            u, *states = rule.update(w, g, float(step + 1), *states)
            w = descended(rule.rule, w, u, RATE)
        return w.view(shape)


def _is_hidden(p: Tensor) -> bool:
    """Whether a parameter without a name is a hidden matrix (docs/export.md)."""
    return p.ndim > 1 and not (p.ndim > 3 and p.shape[1] < 5)


def _difference(found: list[Tensor], expected: list[Tensor]) -> float:
    """Return the largest relative difference of a parameter, in Frobenius norm."""
    return max(
        ((a.double() - b.double()).norm() / b.double().norm()).item()
        for a, b in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize(
    ("dtype", "bound", "foreach"), [(torch.float64, 1e-12, True), (torch.float32, 1e-5, False)]
)
@pytest.mark.parametrize("rules", PROGRAMS, ids=lambda rules: rules.name)
def test_follows_the_evaluated_program(
    rules: RuleSet, dtype: torch.dtype, bound: float, foreach: bool
) -> None:
    shapes = ((6, 6), (5,), (6, 6)) if rules.name in BASES else SHAPES
    exported = _Descent(dtype, shapes)
    cls = optimizer_of(rules, lr=RATE, rest_lr=RATE)
    found = exported.run(cls(exported.params, foreach=foreach))
    assert _difference(found, _Descent(dtype, shapes).evaluate(rules)) <= bound


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("foreach", [False, True])
def test_lion_is_lion_pytorch_to_the_last_bit(
    dtype: torch.dtype, weight_decay: float, foreach: bool
) -> None:
    ours, theirs = _Descent(dtype, ((64, 64), (64,))), _Descent(dtype, ((64, 64), (64,)))
    options = {"lr": RATE, "betas": (0.9, 0.99), "weight_decay": weight_decay}
    found = ours.run(optimizer_of(known("lion"))(ours.params, foreach=foreach, **options))
    expected = theirs.run(lion_pytorch.Lion(theirs.params, **options))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("name", "reference", "options"),
    [
        ("sgd", torch.optim.SGD, {}),
        ("momentum", torch.optim.SGD, {"momentum": 0.9}),
        ("nesterov", torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
        ("rmsprop", torch.optim.RMSprop, {"alpha": 0.99}),
        ("adam", torch.optim.Adam, {}),
        ("adamw", torch.optim.AdamW, {"weight_decay": 0.01}),
        ("adamw", torch.optim.AdamW, {"weight_decay": 0.1, "betas": (0.8, 0.95), "eps": 1e-3}),
    ],
)
def test_known_optimizers_are_those_of_torch(
    name: str, reference: type[Optimizer], options: dict
) -> None:
    ours, theirs = _Descent(torch.float64), _Descent(torch.float64)
    own = {k: v for k, v in options.items() if k not in ("nesterov", "alpha", "momentum")}
    found = ours.run(optimizer_of(known(name))(ours.params, lr=RATE, **own))
    expected = theirs.run(reference(theirs.params, lr=RATE, **options))
    assert _difference(found, expected) <= 1e-12


MATRICES = ((64, 32), (32, 64), (48, 48))


def _muon_runs() -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Return where Keller Jordan's, torch's and the exported Muon lead in 100 steps."""
    options = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.01}
    ends = []
    for cls in (muon.SingleDeviceMuon, torch.optim.Muon, optimizer_of(known("muon"))):
        descent = _Descent(torch.float32, MATRICES)
        ends.append(descent.run(cls(descent.params, **options), steps=100))
    return ends[0], ends[1], ends[2]


def test_muon_is_as_near_to_its_references_as_they_are_to_each_other() -> None:
    keller, torchs, ours = _muon_runs()
    mutual = _difference(keller, torchs)
    assert 0 < mutual < 0.05
    assert _difference(ours, keller) < 1.5 * mutual
    assert _difference(ours, torchs) < 1.5 * mutual


def test_muon_in_one_precision_is_keller_jordans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its rounding to bfloat16, the reference is followed to float64's digits."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda x: x.clone())
    ends = []
    for cls in (muon.SingleDeviceMuon, optimizer_of(known("muon"))):
        descent = _Descent(torch.float64, MATRICES)
        ends.append(descent.run(cls(descent.params, lr=0.02, momentum=0.95)))
    assert _difference(ends[1], ends[0]) < 1e-10


def test_newton_schulz_in_bfloat16_stays_near() -> None:
    full, half = _Descent(torch.float32, MATRICES), _Descent(torch.float32, MATRICES)
    cls = optimizer_of(known("muon"))
    expected = full.run(cls(full.params), steps=20)
    found = half.run(cls(half.params, ns_dtype=torch.bfloat16), steps=20)
    assert 0 < _difference(found, expected) < 0.02


def test_weight_decay_of_a_program_is_an_argument() -> None:
    """AdamW's program has weight decay 0.01; as an argument it is decoupled, and may be 0."""
    plain, decayed = _Descent(torch.float64), _Descent(torch.float64)
    found = decayed.run(optimizer_of(known("adamw"))(decayed.params, lr=RATE, weight_decay=0.0))
    expected = plain.run(optimizer_of(known("adam"))(plain.params, lr=RATE))
    assert _difference(found, expected) <= 1e-14


@pytest.mark.parametrize(
    "text",
    [
        # the update reads a state that is replaced afterwards
        "m, v):\n    v = lerp(v, g, 0.1)\n    s = square(v)\n    d = s + 0.1\n    u = m / d\n"
        "    n = lerp(m, g, 0.01)\n    m = n * s\n    return u, m, v\n",
        # the same, through a bias correction
        "m, v):\n    v = lerp(v, g, 0.1)\n    s = square(v)\n    d = s + 0.1\n"
        "    a = debias(m, 0.9)\n    u = a / d\n    n = lerp(m, g, 0.01)\n    m = n * s\n"
        "    return u, m, v\n",
        # the denominator is a state, which must not be corrected with the update
        "m, v):\n    m = lerp(m, g, 0.1)\n    s = square(g)\n    v = s + 0.1\n"
        "    a = debias(m, 0.9)\n    u = a / v\n    return u, m, v\n",
        # an update of one number, or of one a row, before weight decay
        "m):\n    m = lerp(m, g, 0.1)\n    u = mean(m)\n    r = w * 0.01\n    u = u + r\n"
        "    return u, m\n",
        "m: rowwise):\n    r = row_mean(g)\n    m = lerp(m, r, 0.1)\n    d = w * 0.01\n"
        "    u = m + d\n    return u, m\n",
    ],
)
@pytest.mark.parametrize("foreach", [False, True])
def test_awkward_programs_are_followed_too(text: str, foreach: bool) -> None:
    rules = parse_rules(f"def f(w, g, {text}\n\ndef rest(w, g):\n    return g\n")
    exported = _Descent(torch.float64)
    cls = optimizer_of(rules, lr=RATE, rest_lr=RATE)
    found = exported.run(cls(exported.params, foreach=foreach))
    assert _difference(found, _Descent(torch.float64).evaluate(rules)) <= 1e-12


def test_complements_of_named_constants_stand_in_parentheses() -> None:
    text = (
        "def f(w, g, m):\n    a = 0.3\n    x = (1 - a) * g\n    y = (1 - a) / m\n    m = m + x\n"
        "    y = debias(y, 1 - a)\n    z = (1 - a) + y\n    u = x * z\n    return u, m\n"
    )
    rules = parse_rules(text)
    plain = parse_rules(text.replace("    a = 0.3\n", "").replace("1 - a", "0.7"))
    made = [
        optimizer_of(r)([torch.nn.Parameter(torch.ones(3, 4).double())]) for r in (rules, plain)
    ]
    for _ in range(4):
        for optimizer in made:
            (p,) = optimizer.param_groups[0]["params"]
            p.grad = torch.sin(p.detach() + 1.0)
            optimizer.step()
    first, second = (o.param_groups[0]["params"][0] for o in made)
    torch.testing.assert_close(first, second, rtol=1e-12, atol=0)
