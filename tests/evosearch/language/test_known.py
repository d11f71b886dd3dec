"""Every known optimizer against its reference implementation, step for step, in float64."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from importlib.resources import files

import muon
import pytest
import torch
from lion_pytorch import Lion
from torch import Tensor

from evosearch.errors import UsageError
from evosearch.language.interpret import initial_states, run
from evosearch.language.known import KNOWN, default_rest, known, resolve, rest_of
from evosearch.language.liveness import strip_rules
from evosearch.language.parse import parse_rules
from evosearch.language.rule import Rule, RuleSet

STEPS = 100
LR = 0.02

Optimizer = Callable[[list[Tensor]], torch.optim.Optimizer]


class Sign(torch.optim.SGD):
    """Sign descent, with torch's own SGD as the base: the step is the gradient's sign."""

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = self.direction(p).sign()
        return super().step(closure)

    def direction(self, p: Tensor) -> Tensor:
        return p.grad


class SignOfAverage(Sign):
    """Signum (Bernstein et al.): the momentum m <- 0.9 m + 0.1 g, of which the sign is taken."""

    def direction(self, p: Tensor) -> Tensor:
        m = self.state[p].setdefault("m", torch.zeros_like(p))
        m.copy_(0.9 * m + 0.1 * p.grad)
        return m


REFERENCES: dict[str, Optimizer] = {
    "sgd": lambda p: torch.optim.SGD(p, LR),
    "momentum": lambda p: torch.optim.SGD(p, LR, momentum=0.9),
    "nesterov": lambda p: torch.optim.SGD(p, LR, momentum=0.9, nesterov=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, LR, alpha=0.99, eps=1e-8),
    "adam": lambda p: torch.optim.Adam(p, LR, betas=(0.9, 0.999), eps=1e-8),
    "adamw": lambda p: torch.optim.AdamW(p, LR, betas=(0.9, 0.999), weight_decay=0.01),
    "signsgd": lambda p: Sign(p, LR),
    "signum": lambda p: SignOfAverage(p, LR),
    "lion": lambda p: Lion(p, LR, betas=(0.9, 0.99), weight_decay=0.0),
}
MATRIX_REFERENCES: dict[str, dict[str, Optimizer]] = {
    "muon": {
        "Keller Jordan's": lambda p: muon.SingleDeviceMuon(p, lr=LR, momentum=0.95),
        "torch's": lambda p: torch.optim.Muon(p, lr=LR, momentum=0.95, weight_decay=0.0),
    }
}


def follow(rule: Rule, reference: Optimizer, shape: tuple[int, int]) -> Iterable[float]:
    """Train one parameter twice, and yield the relative difference after each step.

    Each side computes the gradient at its own weights; the learning rate decays to zero.
    """
    generator = torch.Generator().manual_seed(3)
    w = torch.randn(shape, generator=generator, dtype=torch.float64)
    target = torch.nn.Parameter(w.clone())
    optimizer = reference([target])
    states = initial_states(rule, w)
    for t in range(1, STEPS + 1):
        noise = torch.randn(shape, generator=generator, dtype=torch.float64)
        decay = 1.0 - (t - 1) / STEPS
        update, states = run(rule, w, 0.1 * w + noise, float(t), states)
        w = w - LR * decay * update
        target.grad = 0.1 * target.detach() + noise
        optimizer.param_groups[0]["lr"] = LR * decay
        optimizer.step()
        yield float((w - target.detach()).norm() / target.detach().norm())


def test_every_known_optimizer_has_a_reference() -> None:
    assert set(KNOWN) == REFERENCES.keys() | MATRIX_REFERENCES.keys()


@pytest.mark.parametrize("name", REFERENCES)
def test_elementwise_optimizers_follow_their_reference(name: str) -> None:
    rules = known(name)
    assert rules.rest is None
    assert rules.matrix.elementwise
    assert max(follow(rules.matrix, REFERENCES[name], (6, 5))) <= 1e-12


@pytest.mark.parametrize("shape", [(8, 5), (5, 8), (6, 6)], ids=["tall", "wide", "square"])
@pytest.mark.parametrize(
    ("name", "whose"), [(name, whose) for name, of in MATRIX_REFERENCES.items() for whose in of]
)
def test_matrix_optimizers_follow_their_references(
    name: str, whose: str, shape: tuple[int, int], monkeypatch
) -> None:
    # Both references orthogonalize in bfloat16; here both sides do in float64.
    monkeypatch.setattr(Tensor, "bfloat16", Tensor.clone)
    reference = MATRIX_REFERENCES[name][whose]
    assert max(follow(known(name).matrix, reference, shape)) <= 1e-6


def test_the_default_rest_is_the_adam_of_muons_recipe() -> None:
    def reference(p: list[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(p, LR, betas=(0.9, 0.95), eps=1e-10, weight_decay=0.0)

    def auxiliary(p: list[Tensor]) -> torch.optim.Optimizer:
        group = {"params": p, "use_muon": False, "lr": LR, "weight_decay": 0.0}
        return muon.SingleDeviceMuonWithAuxAdam([group])

    assert max(follow(default_rest(), reference, (6, 5))) <= 1e-12
    assert max(follow(default_rest(), auxiliary, (6, 5))) <= 1e-12
    assert default_rest().rank_free


def test_a_wrong_constant_would_be_noticed() -> None:
    """The comparison itself: one decay rate changed in the fourth digit is far from the bound."""
    wrong = parse_rules(str(known("adam")).replace("0.001", "0.0011")).matrix
    assert max(follow(wrong, REFERENCES["adam"], (6, 5))) > 1e-6


@pytest.mark.parametrize("name", KNOWN)
def test_known_programs_are_canonical(name: str) -> None:
    rules = known(name)
    assert rules.name == name
    assert parse_rules(str(rules)) == rules
    assert strip_rules(rules) == rules
    text = (
        files("evosearch.language.programs").joinpath(f"{name}.program").read_text(encoding="utf-8")
    )
    docstring = ast.get_docstring(ast.parse(text).body[0])  # type: ignore[arg-type]
    assert docstring, "says what it is and where it comes from"


def test_resolve_takes_names_and_text() -> None:
    assert resolve("lion") == known("lion")
    assert resolve("def f(w, g):\n    return g\n") == RuleSet(Rule("f", (), (), "g"))


@pytest.mark.parametrize(
    ("name", "hint"), [("adamv", "did you mean `adam`?"), ("zzz", "known are sgd, momentum")]
)
def test_unknown_names_are_refused_with_what_there_is(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(name)
    assert f"unknown optimizer `{name}`" in str(caught.value)
    assert hint in str(caught.value)


def test_the_rest_of_a_rule_set() -> None:
    lion, muon_rule = known("lion").matrix, known("muon").matrix
    assert rest_of(RuleSet(lion)) is lion
    assert rest_of(RuleSet(muon_rule)) is default_rest()
    assert rest_of(RuleSet(muon_rule, lion)).body == lion.body
