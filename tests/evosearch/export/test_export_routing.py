"""Which rule a parameter gets, and how the two learning rates go together."""

from __future__ import annotations

import pytest
import torch
from exported_optimizers import optimizer_of
from torch import nn
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.testing import assert_close

from evosearch.language.known import known
from evosearch.language.parse import parse_rules

MUON = optimizer_of(known("muon"))


def _model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 4))


def _step(model: nn.Module, *optimizers: Optimizer) -> None:
    for p in model.parameters():
        p.grad = p.detach().cos()
    for optimizer in optimizers:
        optimizer.step()


def _adamw(params, **options) -> Optimizer:
    return torch.optim.AdamW(params, betas=(0.9, 0.95), eps=1e-10, **options)


def test_internal_backup_is_an_adamw_of_its_own() -> None:
    """The first way of Muon's users: one optimizer for the whole model."""
    one, other = _model(), _model()
    both = MUON(
        one.parameters(),
        lr=0.02,
        momentum=0.95,
        backup_adamw_lr=3e-4,
        backup_adamw_betas=(0.90, 0.95),
        backup_adamw_wd=0.01,
    )
    matrices = [p for p in other.parameters() if p.ndim >= 2]
    vectors = [p for p in other.parameters() if p.ndim < 2]
    muon = MUON(matrices, lr=0.02, momentum=0.95)
    adamw = _adamw(vectors, lr=3e-4, weight_decay=0.01)
    for _ in range(5):
        _step(one, both)
        _step(other, muon, adamw)
    assert_close(list(one.parameters()), list(other.parameters()))


def test_long_matrices_are_embeddings() -> None:
    """Ten thousand rows or more: the backup's, as an embedding or a head would be."""
    hidden, embedding = Parameter(torch.ones(9_999, 2)), Parameter(torch.ones(10_000, 2))
    optimizer = MUON([hidden, embedding])
    for p in (hidden, embedding):
        p.grad = torch.ones_like(p)
    optimizer.step()
    assert set(optimizer.state[hidden]) == {"m"}
    assert set(optimizer.state[embedding]) == {"step", "m", "v"}


def test_groups_choose_for_themselves() -> None:
    head, hidden, bias = (
        Parameter(torch.ones(3, 2)),
        Parameter(torch.ones(3, 2)),
        Parameter(torch.ones(3)),
    )
    optimizer = MUON(
        [
            {"params": [head], "use_matrix_rule": False, "lr": 0.22},
            {"params": [hidden], "use_matrix_rule": True, "lr": 0.05},
            {"params": [bias], "use_matrix_rule": False},
        ],
        backup_adamw_lr=3e-4,
    )
    for p in (head, hidden, bias):
        p.grad = torch.ones_like(p)
    optimizer.step()
    assert set(optimizer.state[head]) == {"step", "m", "v"}
    assert set(optimizer.state[hidden]) == {"m"}
    assert_close(head.detach(), torch.full((3, 2), 1 - 0.22))  # Adam's first step is lr
    assert_close(bias.detach(), torch.full((3,), 1 - 3e-4))


def test_groups_of_muon_with_aux_adam_work_by_another_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The groups of Keller Jordan's README, `use_muon` being `use_matrix_rule` here."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda x: x.clone())  # one precision for both
    model = _model()
    weights = [p for p in model.parameters() if p.ndim >= 2]
    rest = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": weights, "use_matrix_rule": True, "lr": 0.02, "weight_decay": 0.01},
        {
            "params": rest,
            "use_matrix_rule": False,
            "lr": 3e-4,
            "backup_adamw_betas": (0.9, 0.95),
            "backup_adamw_wd": 0.01,
        },
    ]
    muon = pytest.importorskip("muon")
    twin = _model()
    theirs = muon.SingleDeviceMuonWithAuxAdam(
        [
            {
                "params": [p for p in twin.parameters() if p.ndim >= 2],
                "use_muon": True,
                "lr": 0.02,
                "weight_decay": 0.01,
            },
            {
                "params": [p for p in twin.parameters() if p.ndim < 2],
                "use_muon": False,
                "lr": 3e-4,
                "betas": (0.9, 0.95),
                "weight_decay": 0.01,
            },
        ]
    )
    ours = MUON(groups)
    for _ in range(5):
        _step(model, ours)
        _step(twin, theirs)
    assert_close(list(model.parameters()), list(twin.parameters()))


@pytest.mark.parametrize("by_hand", [False, True])
def test_schedules_scale_both_rates(by_hand: bool) -> None:
    """Whether a scheduler or a training script sets ``lr``, the backup's rate follows."""
    matrix, vector = Parameter(torch.ones(2, 2)), Parameter(torch.ones(2))
    optimizer = MUON([matrix, vector], lr=0.02, backup_adamw_lr=1e-3)
    if by_hand:
        for group in optimizer.param_groups:
            group["lr"] = 0.002
    else:
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 0.1)
    for p in (matrix, vector):
        p.grad = torch.eye(2) if p.ndim > 1 else torch.ones(2)
    optimizer.step()
    assert_close(vector.detach(), torch.full((2,), 1 - 1e-4))
    assert 0.5 * 0.002 < (1 - matrix[0, 0].item()) < 1.5 * 0.002


def test_a_groups_own_lr_scales_both_rates() -> None:
    vector = Parameter(torch.ones(2))
    optimizer = MUON([{"params": [vector], "lr": 0.04}], lr=0.02, backup_adamw_lr=1e-3)
    vector.grad = torch.ones(2)
    optimizer.step()
    assert_close(vector.detach(), torch.full((2,), 1 - 2e-3))


def test_the_ratio_survives_a_checkpoint() -> None:
    vector = Parameter(torch.ones(2))
    saved = MUON([vector], lr=0.02, backup_adamw_lr=1e-3).state_dict()
    optimizer = MUON([vector], lr=0.5, backup_adamw_lr=0.5)
    optimizer.load_state_dict(saved)
    vector.grad = torch.ones(2)
    optimizer.step()
    assert_close(vector.detach(), torch.full((2,), 1 - 1e-3))


def test_a_rate_of_zero_has_no_ratio() -> None:
    with pytest.raises(ValueError, match="lr must be > 0"):
        MUON([Parameter(torch.ones(2))], lr=0.0)


def test_vectors_have_no_matrix_rule() -> None:
    bias = Parameter(torch.ones(3))
    for named, name in (([("bias", bias)], "parameter bias"), ([bias], "parameter 0")):
        optimizer = MUON(named, use_matrix_rule=True)
        bias.grad = torch.ones(3)
        with pytest.raises(ValueError, match=rf"{name} of shape \(3,\) must have two dimensions"):
            optimizer.step()


@pytest.mark.parametrize("name", ["lion", "muon", "adamw"])
def test_refusals_name_the_parameter(name: str) -> None:
    cls = optimizer_of(known(name))
    embedding = nn.Embedding(4, 3, sparse=True)
    optimizer = cls(embedding.named_parameters())
    embedding(torch.tensor([1])).sum().backward()
    with pytest.raises(ValueError, match=r"parameter weight of shape \(4, 3\) must .* dense"):
        optimizer.step()
    p = Parameter(torch.ones(2, 2, dtype=torch.complex64))
    p.grad = torch.ones_like(p)
    with pytest.raises(ValueError, match=r"parameter 0 of shape \(2, 2\) must be real"):
        cls([p]).step()


def test_a_searched_rest_is_the_backup() -> None:
    """What is no Adam is a backup by its own name."""
    rules = parse_rules(
        "def mixed(w, g):\n    u = newton_schulz5(g)\n    return u\n\n"
        "def rest(w, g):\n    u = sign(g)\n    return u\n"
    )
    cls = optimizer_of(rules)
    matrix, vector = Parameter(torch.ones(2, 2)), Parameter(torch.ones(2))
    optimizer = cls([matrix, vector], lr=0.1, backup_lr=0.01)
    for p in (matrix, vector):
        p.grad = torch.ones_like(p)
    optimizer.step()
    assert_close(vector.detach(), torch.full((2,), 0.99))


def test_one_rule_serves_all() -> None:
    """A program that is good for tensors of any rank has no routing."""
    import inspect

    arguments = inspect.signature(optimizer_of(known("lion")).__init__).parameters
    assert not any("backup" in name or "matrix" in name for name in arguments)
