"""The package of exported optimizers: fresh, and used as its users' manuals say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from torch import nn
from torch.testing import assert_close

from discovered.lion import Lion
from discovered.muon import Muon
from discovered.split import parameter_groups, split_parameters

FOLDER = Path(__file__).parents[3] / "discovered"


def test_torch_is_all_that_is_loaded() -> None:
    code = (
        "import sys, torch; before = set(sys.modules); import discovered.muon, discovered.split\n"
    )
    code += "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=FOLDER.parent
    )
    assert loaded.stdout.split() == ["discovered"]


class _Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 8)
        self.positions = nn.Parameter(torch.zeros(4, 8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.blocks = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.lm_head = nn.Linear(8, 50, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens) + self.positions
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.lm_head(x + self.blocks(self.norm(x)))


def _fit(model: nn.Module, *optimizers: torch.optim.Optimizer) -> tuple[float, float]:
    tokens = torch.randint(50, (8, 4), generator=torch.Generator().manual_seed(0))
    losses = []
    for _ in range(20):
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten())
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        losses.append(loss.item())
    return losses[0], losses[-1]


def _fresh() -> _Model:
    torch.manual_seed(0)
    return _Model()


def test_muon_with_an_internal_backup() -> None:
    """The first usage in the README of Muon, word for word."""
    model = _fresh()
    # fmt: off
    optimizer = Muon(model.parameters(), lr=0.02, momentum=0.95,
                     backup_adamw_lr=3e-4, backup_adamw_betas=(0.90, 0.95), backup_adamw_wd=0.01)
    # fmt: on
    first, last = _fit(model, optimizer)
    assert last < 0.8 * first


def test_muon_with_an_external_backup() -> None:
    """The second: two optimizers, matrices by shape."""
    model = _fresh()
    muon_params = [p for p in model.parameters() if p.ndim >= 2 and p.size(0) < 10000]
    adamw_params = [p for p in model.parameters() if not (p.ndim >= 2 and p.size(0) < 10000)]
    optimizers = [
        Muon(muon_params, lr=0.02, momentum=0.95),
        torch.optim.AdamW(adamw_params, lr=3e-4, betas=(0.90, 0.95), weight_decay=0.01),
    ]
    first, last = _fit(model, *optimizers)
    assert last < 0.8 * first


def test_groups_by_module() -> None:
    model = _fresh()
    hidden, others = split_parameters(model)
    groups = [
        {"params": hidden, "use_matrix_rule": True},
        {"params": others, "use_matrix_rule": False, "lr": 3e-3},
    ]
    first, last = _fit(model, Muon(groups))
    assert last < first


def test_lion_trains() -> None:
    model = _fresh()
    first, last = _fit(model, Lion(model.parameters(), lr=5e-3, weight_decay=0.1))
    assert last < 0.8 * first


def _names(model: nn.Module, **options) -> set[str]:
    hidden, others = split_parameters(model, **options)
    names = {p: name for name, p in model.named_parameters()}
    assert {names[p] for p in (*hidden, *others)} == set(names.values())
    assert not {names[p] for p in hidden} & {names[p] for p in others}
    return {names[p] for p in hidden}


def test_split_goes_by_module_type() -> None:
    assert _names(_Model()) == {
        "attention.in_proj_weight",
        "attention.out_proj.weight",
        "blocks.0.weight",
        "blocks.2.weight",
    }


def test_split_takes_other_heads() -> None:
    model = _Model()
    assert "lm_head.weight" in _names(model, head=model.blocks[2])
    assert {"lm_head.weight", "blocks.2.weight"} <= _names(model, head=[])
    both = _names(model, head=[model.lm_head, model.blocks])
    assert not {n for n in both if n.startswith(("lm_head", "blocks"))}


def test_split_finds_heads_by_name_wherever_they_are_registered() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.classifier = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 3))
            self.value = nn.ModuleDict({"head": nn.Linear(8, 1)})
            self.body = nn.Linear(8, 8)

    assert _names(Two()) == {"body.weight"}


def test_split_of_a_backbone_finds_no_head() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    assert "layers.0.linear2.weight" in _names(nn.TransformerEncoder(layer, 1))
    assert _names(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))) == {"0.weight"}


def test_split_knows_convolutions_and_cells() -> None:
    net = nn.ModuleList([nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.LSTM(8, 8), nn.Conv2d(8, 8, 3)])
    net.append(nn.Conv2d(8, 8, 3, groups=8))
    assert _names(net) == {"2.weight_ih_l0", "2.weight_hh_l0", "3.weight"}


def test_split_leaves_out_tied_weights() -> None:
    model = _Model()
    model.blocks[0].weight = nn.Parameter(torch.zeros(50, 8))
    model.embed.weight = model.blocks[0].weight
    assert "blocks.0.weight" not in _names(model)


def test_split_leaves_out_frozen_parameters() -> None:
    model = _Model()
    model.blocks.requires_grad_(False)
    assert not {p for part in split_parameters(model) for p in part} & set(
        model.blocks.parameters()
    )


def test_split_of_a_model_without_matrices() -> None:
    norm = nn.LayerNorm(3)
    hidden, others = split_parameters(norm)
    assert hidden == []
    assert_close(others, list(norm.parameters()))


def test_split_leaves_out_pieces_of_a_weight() -> None:
    normed, spectral = nn.Linear(4, 5), nn.Linear(4, 5)
    nn.utils.parametrizations.weight_norm(normed)
    nn.utils.parametrizations.spectral_norm(spectral)
    adapted = nn.ModuleDict({"lora_A": nn.Linear(4, 2), "base_layer": nn.Linear(4, 5)})
    net = nn.ModuleDict({"normed": normed, "spectral": spectral, "adapted": adapted})
    assert _names(net, head=[]) == {
        "spectral.parametrizations.weight.original",
        "adapted.base_layer.weight",
    }


class _Experts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Parameter(torch.randn(3, 8, 4))
        self.up_bias = nn.Parameter(torch.zeros(3, 8))
        self.gamma = nn.Parameter(torch.ones(8, 1, 1))


def test_groups_have_stacks_of_their_own() -> None:
    model = nn.ModuleDict({"experts": _Experts(), "body": nn.Linear(4, 4), "tail": nn.LayerNorm(4)})
    groups = parameter_groups(model)
    stacks = {g.get("batch_dims"): [name for name, _ in g["params"]] for g in groups}
    assert stacks == {
        1: ["experts.up"],
        0: ["body.weight"],
        None: ["experts.up_bias", "experts.gamma", "body.bias", "tail.weight", "tail.bias"],
    }
    optimizer = Muon(groups)
    assert [g["use_matrix_rule"] for g in optimizer.param_groups] == [True, True, False]
