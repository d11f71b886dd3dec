"""What each key of a parameter group means, whatever the spelling: docs/export.md in tests."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from exported_optimizers import optimizer_of
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.testing import assert_close

from evosearch.language.known import known
from evosearch.language.parse import parse_rules
from evosearch.language.rule import RuleSet

MUON = optimizer_of(known("muon"))
ADAMW = optimizer_of(known("adamw"))
FOUND = optimizer_of(known("muon").renamed("found"))
"""The same program as something that nobody knows: AdamW's rates, updates of AdamW's size."""
MIXED = parse_rules(
    "def mixed(w, g):\n    u = newton_schulz5(g)\n    return u\n\n"
    "def rest(w, g):\n    s = sign(g)\n    u = s + w\n    return u\n"
)


def _bias() -> Parameter:
    return Parameter(torch.zeros(3))


def _first_step(optimizer: Optimizer, p: Parameter) -> float:
    p.grad = torch.ones_like(p)
    optimizer.step()
    return -p.flatten()[0].item()


SPELLINGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "group": ([{"use_matrix_rule": False, "lr": 1e-3}], {}),
    "group without a rule": ([{"lr": 1e-3}], {}),
    "constructor": ([{}], {"lr": 1e-3, "use_matrix_rule": False}),
    "rule in the group": ([{"use_matrix_rule": False}], {"lr": 1e-3}),
    "rule in the constructor": ([{"lr": 1e-3}], {"use_matrix_rule": False}),
    "its own option": ([{}], {"lr": 0.5, "backup_adamw_lr": 1e-3}),
    "its own option in a group": ([{"backup_adamw_lr": 1e-3}], {"lr": 0.5}),
    "Keller Jordan's word": ([{"use_muon": False, "lr": 1e-3}], {}),
}


@pytest.mark.parametrize("cls", [MUON, FOUND], ids=["muon", "found"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_rate_is_the_one_that_was_asked_for(cls: type[Optimizer], spelling: str) -> None:
    groups, options = SPELLINGS[spelling]
    bias = _bias()
    optimizer = cls([{"params": [bias], **groups[0]}], **options)
    assert _first_step(optimizer, bias) == pytest.approx(1e-3, rel=1e-4)


@pytest.mark.parametrize("cls", [MUON, FOUND], ids=["muon", "found"])
@pytest.mark.parametrize("loaded", [False, True])
def test_an_edited_group_means_the_same(cls: type[Optimizer], loaded: bool) -> None:
    bias, matrix = _bias(), Parameter(torch.ones(3, 3))
    optimizer = cls([matrix, bias])
    if loaded:
        state = copy.deepcopy(optimizer.state_dict())
        state["param_groups"][1]["lr"] = 1e-3
        optimizer.load_state_dict(state)
    else:
        optimizer.param_groups[1]["lr"] = 1e-3
    assert _first_step(optimizer, bias) == pytest.approx(1e-3, rel=1e-4)


def test_nothing_derived_is_hidden_in_the_groups() -> None:
    optimizer = MUON([Parameter(torch.ones(3, 3)), _bias()], lr=0.1, backup_adamw_lr=1e-3)
    flags = {"use_matrix_rule", "batch_dims", "maximize", "foreach", "capturable", "params"}
    matrices, others = optimizer.param_groups
    own = {"lr", "weight_decay", "momentum", "ns_steps", "ns_dtype", "adjust_lr_fn"}
    assert set(matrices) - {"differentiable"} == flags | own
    assert set(others) - {"differentiable"} == flags | {"lr", "weight_decay", "betas", "eps"}
    assert (matrices["lr"], others["lr"]) == (0.1, 1e-3)


def test_rates_that_nobody_asked_for_are_the_defaults() -> None:
    def rates(**options: Any) -> list[float]:
        return [group["lr"] for group in MUON([matrix, bias], **options).param_groups]

    matrix, bias = Parameter(torch.ones(3, 3)), _bias()
    assert rates() == pytest.approx([0.02, 3e-4])
    assert rates(lr=0.01) == pytest.approx([0.01, 1.5e-4])  # in the proportion of the defaults
    assert rates(backup_adamw_lr=1e-3) == pytest.approx([0.02, 1e-3])
    assert [g["lr"] for g in FOUND([matrix, bias], lr=3e-4).param_groups] == [3e-4, 3e-4]
    group = MUON([{"params": [bias], "use_matrix_rule": False}]).param_groups[0]
    assert group["lr"] == pytest.approx(3e-4)


def test_options_of_the_others_are_their_own() -> None:
    options = {"weight_decay": 0.5, "betas": (0.8, 0.9), "eps": 1e-3}
    bias, twin = _bias(), _bias()
    ours = MUON([{"params": [bias], "use_matrix_rule": False, "lr": 0.1, **options}])
    theirs = torch.optim.AdamW([twin], lr=0.1, **options)
    for _ in range(4):
        bias.grad = twin.grad = bias.detach().cos()
        ours.step()
        theirs.step()
    assert_close(bias, twin)


def test_weight_decay_of_a_group_is_that_of_all_in_it() -> None:
    """As frameworks make them: one group with decay, one without."""
    matrix, table, bias = Parameter(torch.ones(3, 3)), Parameter(torch.ones(10_000, 2)), _bias()
    groups = [
        {"params": [matrix, table], "weight_decay": 0.3},
        {"params": [bias], "weight_decay": 0.0},
    ]
    decays = [g["weight_decay"] for g in MUON(groups, backup_adamw_wd=0.7).param_groups]
    assert decays == [0.3, 0.3, 0.0]


@pytest.mark.parametrize(
    ("group", "key"),
    [
        ({"use_matrix_rule": False, "momentum": 0.9}, "momentum"),
        ({"use_matrix_rule": False, "ns_steps": 3}, "ns_steps"),
        ({"use_matrix_rule": True, "betas": (0.9, 0.99)}, "betas"),
        ({"use_matrix_rule": True, "backup_adamw_lr": 0.1}, "backup_adamw_lr"),
        ({"betas": (0.9, 0.99)}, "betas"),
    ],
)
def test_a_key_that_means_nothing_is_refused_by_name(group: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=f"{key} means nothing here"):
        MUON([{"params": [Parameter(torch.ones(3, 3))], **group}])
    optimizer = MUON([Parameter(torch.ones(3, 3)), _bias()])
    optimizer.param_groups[1]["backup_adamw_lr"] = 1.0
    with pytest.raises(ValueError, match="backup_adamw_lr means nothing here"):
        optimizer.step()


def test_keys_of_frameworks_stay() -> None:
    group = {"params": [Parameter(torch.ones(3, 3)), _bias()], "lr_scale": 0.5, "name": "block"}
    assert {g["lr_scale"] for g in MUON([group]).param_groups} == {0.5}
    with pytest.raises(ValueError, match="momentum means nothing here"):
        ADAMW([{"params": [_bias()], "momentum": 0.9}])


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"lr": "1e-3"}, "lr"),
        ({"lr": float("nan")}, "lr"),
        ({"ns_steps": 2.5}, "ns_steps"),
        ({"ns_steps": 0}, "ns_steps"),
        ({"ns_dtype": "bfloat16"}, "ns_dtype"),
        ({"momentum": 1.0}, "momentum"),
        ({"backup_adamw_betas": (0.9,)}, "betas"),
        ({"adjust_lr_fn": "muon"}, "adjust_lr_fn"),
    ],
)
def test_values_are_refused_by_name_at_construction(options: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        MUON([Parameter(torch.ones(3, 3)), _bias()], **options)


@pytest.mark.parametrize("cls", [MUON, FOUND, ADAMW])
def test_a_rate_of_zero_moves_nothing(cls: type[Optimizer]) -> None:
    """Progressive unfreezing: a group may start at 0, and so may all."""
    matrix, bias = Parameter(torch.ones(3, 3)), _bias()
    for optimizer in (
        cls([matrix, bias], lr=0.0),
        cls([{"params": [matrix], "lr": 0.0}, {"params": [bias]}], lr=1e-3),
    ):
        matrix.grad = torch.eye(3)
        optimizer.step()
        assert (matrix == 1).all()


def test_construction_needs_no_values() -> None:
    with FakeTensorMode():
        matrix, bias = Parameter(torch.ones(3, 3)), Parameter(torch.ones(3))
        for cls in (MUON, FOUND, ADAMW):
            cls([matrix, bias])
            cls([bias], lr=torch.tensor(1e-3))


def test_a_tensor_rate_has_no_hidden_multiple() -> None:
    matrix, bias = Parameter(torch.ones(3, 3)), _bias()
    lr = torch.tensor(1e-3)
    assert all(group["lr"] is lr for group in FOUND([matrix, bias], lr=lr).param_groups)
    with pytest.raises(ValueError, match="say backup_adamw_lr"):
        MUON([matrix, bias], lr=lr)


def test_adding_the_parameter_is_a_decay_of_one() -> None:
    group = optimizer_of(MIXED)([_bias()]).param_groups[0]
    assert group["weight_decay"] == 1.0
    assert "u = sign(g)" in (optimizer_of(MIXED).__doc__ or "")


# Which rule a parameter gets.


def _kinds(**shapes: tuple[int, ...]) -> dict[str, bool]:
    """Return, for parameters of these shapes, whether they are hidden matrices."""
    params = [Parameter(torch.zeros(shape)) for shape in shapes.values()]
    optimizer = MUON(params)
    chosen = {p: g["use_matrix_rule"] for g in optimizer.param_groups for p in g["params"]}
    return {name: chosen[p] for name, p in zip(shapes, params, strict=True)}


def test_shapes_that_are_matrices() -> None:
    assert _kinds(linear=(8, 6), conv=(8, 6, 3, 3), conv1d=(8, 6, 3), experts=(4, 8, 16)) == {
        "linear": True,
        "conv": True,
        "conv1d": True,
        "experts": True,
    }


def test_shapes_that_are_none() -> None:
    kinds = _kinds(
        bias=(8,),
        scalar=(),
        layer_scale=(96, 1, 1),
        weight_norm=(8, 1),
        class_token=(1, 1, 8),
        positions=(1, 5, 8),
        head=(10_000, 4),
        stem=(8, 3, 7, 7),
        depthwise=(96, 1, 7, 7),
        flattened=(4096,),
    )
    assert not any(kinds.values())


def test_a_layer_scale_stays_small() -> None:
    gamma, matrix = Parameter(torch.full((96, 1, 1), 1e-6)), Parameter(torch.ones(3, 3))
    optimizer = FOUND([gamma, matrix], lr=1e-3)
    for _ in range(3):
        gamma.grad = torch.ones_like(gamma)
        optimizer.step()
    assert gamma.abs().max() < 4e-3


@pytest.mark.parametrize("dims", [None, 1])
def test_a_stack_is_a_batch_of_matrices(dims: int | None) -> None:
    stack = Parameter(torch.randn(4, 8, 16, generator=torch.Generator().manual_seed(0)))
    pieces = [Parameter(x.clone()) for x in stack.detach()]
    one, other = MUON([stack], batch_dims=dims), MUON(pieces)
    for _ in range(3):
        stack.grad = stack.detach().sin()
        for p in pieces:
            p.grad = p.detach().sin()
        one.step()
        other.step()
    assert_close(stack.detach(), torch.stack([p.detach() for p in pieces]))


def test_names_tell_embeddings_and_heads() -> None:
    model = nn.ModuleDict({k: nn.Linear(4, 4, bias=False) for k in ("wte", "block", "lm_head")})
    model["pos_embed"] = nn.Linear(4, 4, bias=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer = MUON(model.named_parameters())
    assert [g["param_names"] for g in optimizer.param_groups] == [
        ["block.weight"],
        ["wte.weight", "lm_head.weight", "pos_embed.weight"],
    ]


@pytest.mark.filterwarnings("default")
def test_what_shapes_cannot_tell_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="embeddings and heads cannot be told"):
        MUON([Parameter(torch.ones(4, 3))])
    with pytest.warns(UserWarning, match="no parameter is a hidden matrix"):
        MUON([Parameter(torch.ones(4096))])


def test_a_vector_has_no_matrix_rule() -> None:
    for params, name in (([("bias", _bias())], "bias"), ([_bias()], "0")):
        with pytest.raises(ValueError, match=rf"parameter {name} of shape \(3,\) is no matrix"):
            MUON(params, use_matrix_rule=True)


@pytest.mark.parametrize("name", ["lion", "muon", "adamw"])
def test_refusals_name_the_parameter(name: str) -> None:
    cls = optimizer_of(known(name))
    embedding = nn.Embedding(4, 3, sparse=True)
    optimizer = cls(embedding.named_parameters())
    embedding(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match=r"parameter weight of shape \(4, 3\) needs a dense"):
        optimizer.step()
    p = Parameter(torch.ones(2, 2, dtype=torch.complex64))
    p.grad = torch.ones_like(p)
    with pytest.raises(RuntimeError, match=r"parameter 0 of shape \(2, 2\) needs a .*real"):
        cls([p]).step()


# States and checkpoints.


@pytest.mark.parametrize(
    ("name", "states"),
    [
        ("adamw", {"step", "exp_avg", "exp_avg_sq"}),
        ("lion", {"exp_avg"}),
        ("momentum", {"momentum_buffer"}),
        ("muon", {"momentum_buffer"}),
        ("rmsprop", {"step", "exp_avg_sq"}),
    ],
)
def test_states_are_named_what_they_are(name: str, states: set[str]) -> None:
    p = Parameter(torch.ones(3, 3))
    optimizer = optimizer_of(known(name))([p])
    p.grad = torch.ones_like(p)
    optimizer.step()
    assert set(optimizer.state[p]) - {"step"} == states - {"step"}


def test_the_checkpoint_of_another_optimizer_is_told() -> None:
    p = Parameter(torch.ones(3, 3))
    p.grad = torch.ones_like(p)
    other = torch.optim.AdamW([p])
    other.step()
    lion = optimizer_of(known("lion"))([p])
    with pytest.raises(ValueError, match=r"expected states \['exp_avg'\], found \['exp_avg', 'exp"):
        lion.load_state_dict(other.state_dict())
    lion.step()  # it is as it was
    ADAMW([p]).load_state_dict(other.state_dict())  # these are the same


@pytest.mark.parametrize("cls", [MUON, FOUND, ADAMW])
def test_an_older_checkpoint_gets_the_defaults(cls: type[Optimizer]) -> None:
    params = [Parameter(torch.ones(3, 3)), _bias()]
    optimizer = cls(params)
    for p in params:
        p.grad = torch.ones_like(p)
    optimizer.step()
    state = copy.deepcopy(optimizer.state_dict())
    for group in state["param_groups"]:
        for key in set(group) & {"ns_dtype", "adjust_lr_fn", "batch_dims", "foreach", "eps"}:
            del group[key]
    expected = copy.deepcopy(optimizer.state_dict()["param_groups"])
    optimizer.load_state_dict(state)
    assert optimizer.state_dict()["param_groups"] == expected
    optimizer.step()


def test_a_state_in_another_layout_is_refused_or_updated() -> None:
    conv = Parameter(torch.randn(8, 6, 3, 3).to(memory_format=torch.channels_last))
    optimizer = MUON([conv])
    conv.grad = torch.ones_like(conv)
    optimizer.step()
    state = optimizer.state[conv]
    assert state["momentum_buffer"].is_contiguous()
    state["momentum_buffer"] = state["momentum_buffer"].to(memory_format=torch.channels_last)
    with pytest.raises(RuntimeError, match="view"):
        optimizer.step()


# Schedulers.


@pytest.mark.parametrize("cls", [MUON, FOUND, ADAMW])
def test_schedules_scale_every_rate(cls: type[Optimizer]) -> None:
    optimizer = cls([Parameter(torch.ones(2, 2)), _bias()])
    before = [group["lr"] for group in optimizer.param_groups]
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 0.1)
    after = [group["lr"] for group in optimizer.param_groups]
    assert after == pytest.approx([0.1 * lr for lr in before])


def _cycles(rules: RuleSet) -> bool:
    """Whether a scheduler may cycle a momentum, and what else it changes: nothing."""
    optimizer = optimizer_of(rules)([Parameter(torch.ones(4, 4)), _bias()])
    before = copy.deepcopy(optimizer.param_groups)
    rates = [group["lr"] for group in before]
    if not {"betas", "momentum"} & optimizer.defaults.keys():
        with pytest.raises(ValueError, match="must support momentum or beta1"):  # torch's words
            torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rates, total_steps=9)
        return False
    torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rates, total_steps=9)
    for old, new in zip(before, optimizer.param_groups, strict=True):
        own = {k for k in old if k not in ("params", "lr", "betas", "momentum")}
        assert all(old[k] == new[k] for k in own)
        assert len(old.get("betas", ())) == len(new.get("betas", ()))
    optimizer.step()
    return True


def test_schedulers_cycle_momentum_and_nothing_else() -> None:
    assert _cycles(known("adamw"))
    assert _cycles(known("lion"))
    assert _cycles(known("momentum"))
    assert not _cycles(known("rmsprop"))  # a decay rate of squares is no momentum
    assert not _cycles(known("muon"))  # one rule has a momentum, the other betas
    squares = "v):\n    s = square(g)\n    v = heavy_ball(v, s, 0.9)\n    d = debias(v, 0.999)\n"
    rules = parse_rules(f"def f(w, g, {squares}    r = sqrt(d)\n    u = g / r\n    return u, v\n")
    group = optimizer_of(rules)([_bias()]).param_groups[0]
    assert group["alphas"] == (0.9, 0.999)
    assert not _cycles(rules)


# Against those who know these recipes by heart.


def _model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 4))


def _step(model: nn.Module, *optimizers: Optimizer) -> None:
    for p in model.parameters():
        p.grad = p.detach().cos()
    for optimizer in optimizers:
        optimizer.step()


def test_internal_backup_is_an_adamw_of_its_own() -> None:
    """The first recipe of Muon's users: one optimizer for the whole model."""
    one, other = _model(), _model()
    # fmt: off
    both = MUON(one.parameters(), lr=0.02, momentum=0.95,
                backup_adamw_lr=3e-4, backup_adamw_betas=(0.90, 0.95), backup_adamw_wd=0.01)
    # fmt: on
    matrices = [p for p in other.parameters() if p.ndim >= 2]
    vectors = [p for p in other.parameters() if p.ndim < 2]
    muon = MUON(matrices, lr=0.02, momentum=0.95)
    adamw = torch.optim.AdamW(vectors, 3e-4, betas=(0.9, 0.95), eps=1e-10, weight_decay=0.01)
    for _ in range(5):
        _step(one, both)
        _step(other, muon, adamw)
    assert_close(list(one.parameters()), list(other.parameters()))


def test_groups_of_muon_with_aux_adam_work_as_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe of Keller Jordan's README today, `use_muon` and all."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda x: x.clone())  # one precision for both
    muon = pytest.importorskip("muon")

    def groups(model: nn.Module) -> list[dict[str, Any]]:
        weights = [p for p in model.parameters() if p.ndim >= 2]
        rest = [p for p in model.parameters() if p.ndim < 2]
        # fmt: off
        return [
            dict(params=weights, use_muon=True,  # noqa: C408
                 lr=0.02, weight_decay=0.01),
            dict(params=rest, use_muon=False,  # noqa: C408
                 lr=3e-4, betas=(0.9, 0.95), weight_decay=0.01),
        ]
        # fmt: on

    model, twin = _model(), _model()
    ours, theirs = MUON(groups(model)), muon.SingleDeviceMuonWithAuxAdam(groups(twin))
    for _ in range(5):
        _step(model, ours)
        _step(twin, theirs)
    assert_close(list(model.parameters()), list(twin.parameters()))


@pytest.mark.parametrize("adjust", ["original", "match_rms_adamw"])
def test_adjusting_the_rate_is_torchs(adjust: str) -> None:
    ours = [Parameter(torch.ones(s).cos_()) for s in ((8, 4), (4, 8))]
    theirs = [Parameter(p.detach().clone()) for p in ours]
    one = MUON(ours, lr=0.01, adjust_lr_fn=adjust, ns_dtype=torch.bfloat16)
    other = torch.optim.Muon(theirs, lr=0.01, adjust_lr_fn=adjust, weight_decay=0.0)
    for _ in range(3):
        for p in (*ours, *theirs):
            p.grad = torch.eye(*p.shape) + 0.1 * p.detach()
        one.step()
        other.step()
    assert_close(ours, theirs, rtol=2e-2, atol=2e-3)


def test_a_find_has_the_rates_and_the_size_of_adamw() -> None:
    group = FOUND([Parameter(torch.ones(8, 4))]).param_groups[0]
    assert (group["lr"], group["adjust_lr_fn"]) == (1e-3, "match_rms_adamw")


def test_a_searched_rest_is_the_backup() -> None:
    """What is no Adam is a backup by its own name."""
    matrix, vector = Parameter(torch.ones(2, 2)), Parameter(torch.ones(2))
    optimizer = optimizer_of(MIXED)([matrix, vector], lr=0.1, backup_lr=0.01, backup_wd=0.0)
    for p in (matrix, vector):
        p.grad = torch.ones_like(p)
    optimizer.step()
    assert_close(vector.detach(), torch.full((2,), 0.99))


def test_one_rule_serves_all() -> None:
    """A program that is good for tensors of any rank has no routing."""
    import inspect

    arguments = inspect.signature(optimizer_of(known("lion")).__init__).parameters
    assert not any("backup" in name or "matrix" in name for name in arguments)
