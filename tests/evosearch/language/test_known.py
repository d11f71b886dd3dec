"""Every known optimizer against its reference implementation, step for step, in float64."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from importlib import import_module
from importlib.resources import files

import muon
import pytest
import reference_optimizers
import torch
from interpreter import descended, initial_states, run
from torch import Tensor

from evosearch.errors import UsageError
from evosearch.export.torch_file import class_name
from evosearch.language.known import KNOWN, default_rest, known, resolve, rest_of
from evosearch.language.library import LIBRARY, Reference
from evosearch.language.liveness import strip_rules
from evosearch.language.parse import parse_rules
from evosearch.language.rule import Rule, RuleSet, Statement
from evosearch.recognize.forms import FORMS
from evosearch.recognize.recognize import recognize_rule

STEPS = 100
LR = 0.02

SHAPES = {"tall": (8, 5), "wide": (5, 8), "square": (6, 6)}
CASES = [
    pytest.param(row.name, reference, id=f"{row.name}-{reference.path}")
    for row in LIBRARY.values()
    for reference in row.references
]


def optimizer(reference: Reference, parameter: torch.nn.Parameter) -> torch.optim.Optimizer:
    """Return the reference over one parameter, with the options that its row gives."""
    module, _, name = reference.path.rpartition(".")
    return getattr(import_module(module), name)([parameter], lr=LR, **reference.options)


def follow(rule: Rule, reference: Reference, shape: tuple[int, int]) -> Iterable[float]:
    """Train one parameter twice, and yield the difference after each step, relative to the way.

    Each side computes the gradient at its own weights; the learning rate decays to zero.
    """
    generator = torch.Generator().manual_seed(3)
    w = torch.randn(shape, generator=generator, dtype=torch.float64)
    start = w
    target = torch.nn.Parameter(w.clone())
    other = optimizer(reference, target)
    states = initial_states(rule, w)
    for t in range(1, STEPS + 1):
        noise = torch.randn(shape, generator=generator, dtype=torch.float64)
        decay = 1.0 - (t - 1) / STEPS
        update, states = run(rule, w, 0.1 * w + noise, float(t), states)
        w = descended(rule, w, update, LR * decay)
        target.grad = 0.1 * target.detach() + noise
        other.param_groups[0]["lr"] = LR * decay
        other.step()
        apart, way = (w - target.detach()).norm(), (target.detach() - start).norm()
        yield float(apart / way) if way else float(apart)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(("name", "reference"), CASES)
def test_known_optimizers_follow_their_references(
    name: str, reference: Reference, shape: tuple[int, int], monkeypatch
) -> None:
    # Muon's references orthogonalize in bfloat16; here both sides do in float64.
    monkeypatch.setattr(Tensor, "bfloat16", Tensor.clone)
    rules = known(name)
    assert max(follow(rules.matrix, reference, shape)) <= reference.tolerance


def test_the_default_rest_is_the_adam_of_muons_recipe(monkeypatch) -> None:
    adam = {"betas": (0.9, 0.95), "eps": 1e-10}
    assert max(follow(default_rest(), Reference("torch.optim.Adam", adam), (6, 5))) <= 1e-12

    def auxiliary(p: list[Tensor], lr: float) -> torch.optim.Optimizer:
        group = {"params": p, "use_muon": False, "lr": lr, "weight_decay": 0.0}
        return muon.SingleDeviceMuonWithAuxAdam([group])

    monkeypatch.setattr(reference_optimizers, "Auxiliary", auxiliary, raising=False)
    its = Reference("reference_optimizers.Auxiliary")
    assert max(follow(default_rest(), its, (6, 5))) <= 1e-12
    assert default_rest().rank_free


def test_a_wrong_constant_would_be_noticed() -> None:
    """The comparison itself: one decay rate changed in the fourth digit is far from the bound."""
    wrong = parse_rules(str(known("adam")).replace("0.001", "0.0011")).matrix
    assert max(follow(wrong, LIBRARY["adam"].references[0], (6, 5))) > 1e-6


def test_a_row_is_whole() -> None:
    folder = files("evosearch.language.programs")
    texts = {f.name.removesuffix(".program") for f in folder.iterdir() if ".program" in f.name}
    assert texts == {*LIBRARY, "rest"}
    titles = [row.title for row in LIBRARY.values()]
    assert len(set(titles)) == len(titles)
    classes = [class_name(name) for name in LIBRARY]
    assert len(set(classes)) == len(classes)
    for row in LIBRARY.values():
        assert row.references, f"{row.name} is tested against something"
        assert row.form in ("", *FORMS)
        assert row.lr > 0.0
        if row.sought is not None:
            assert set(row.sought.relatives) <= LIBRARY.keys()


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_optimizer_is_recognized_in_any_spelling(name: str) -> None:
    rule = known(name).matrix
    free = rule.free
    longer = Rule(
        "other", rule.states, (*free.body, Statement("u9", "mul", (free.update, 3.0))), "u9"
    )
    if rule.keeps:
        step = Statement("u10", f"keep_{rule.keeps}", ("u9",))
        longer = Rule("other", rule.states, (*longer.body, step), "u10")
    for other in (rule, longer):
        fit = recognize_rule(other)
        assert fit is not None
        assert fit.name == name
        assert fit.residual <= fit.tolerance
        assert str(fit).startswith(LIBRARY[name].title)


@pytest.mark.parametrize("name", KNOWN)
def test_known_programs_are_canonical(name: str) -> None:
    rules = known(name)
    assert rules.name == name
    assert parse_rules(str(rules)) == rules
    assert strip_rules(rules) == rules
    text = (
        files("evosearch.language.programs").joinpath(f"{name}.program").read_text(encoding="utf-8")
    )
    function = ast.parse(text).body[0]
    assert isinstance(function, ast.FunctionDef), "begins with the function"
    assert ast.get_docstring(function), "the function says what it is and where it comes from"


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
