"""Exported optimizers in the hands of schedulers, averages and training frameworks.

What needs a package of the `examples` extra is marked slow; `make examples` runs all.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer, lr_scheduler
from torch.optim.swa_utils import SWALR, AveragedModel
from torch.testing import assert_close

from discovered.lion import Lion
from discovered.muon import Muon
from discovered.short_muon import ShortMuon
from discovered.split import parameter_groups

RATES = {Lion: 3e-3, Muon: 0.02, ShortMuon: 3e-3}
STEPS = 30
classes = pytest.mark.parametrize("cls", RATES)


class _Net(nn.Module):
    """A patch embedding, two blocks with LayerScale and a head, as in vision transformers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Linear(6, 8)
        blocks = [nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8), nn.Tanh()) for _ in range(2)]
        self.blocks = nn.ModuleList(blocks)
        self.gamma = nn.Parameter(torch.full((8,), 0.5))
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        x = self.embed(x)
        for block in self.blocks:
            x = x + self.gamma * block(x)
        return self.head(x)


def _data() -> tuple[Tensor, Tensor]:
    x = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))
    return x, x[:, :3].argmax(1)


def _fit(model: nn.Module, optimizer: Optimizer, after: Callable[[], object] = int) -> float:
    """Train, and return the last loss as a share of the first."""
    x, y = _data()
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x).float(), y)
        loss.backward()
        optimizer.step()
        after()
        losses.append(loss.item())
    return losses[-1] / losses[0]


def _decays(optimizer: Optimizer) -> dict[Tensor, float]:
    return {p: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}


def _by_layer(model: _Net, lr: float, factor: float) -> Iterable[dict[str, Any]]:
    """Yield groups as for fine-tuning: a rate a layer, and no decay of vectors."""
    depth = {"embed": 0, "blocks.0": 1, "blocks.1": 2}
    groups: dict[tuple[int, float], list[tuple[str, nn.Parameter]]] = {}
    for name, p in model.named_parameters():
        layer = next((k for start, k in depth.items() if name.startswith(start)), 3)
        groups.setdefault((layer, 0.05 if p.ndim > 1 else 0.0), []).append((name, p))
    for (layer, decay), params in groups.items():
        scale = factor ** (3 - layer)
        yield {"params": params, "lr": lr * scale, "lr_scale": scale, "weight_decay": decay}


@classes
def test_layer_wise_rates_and_decays_are_kept(cls: type[Optimizer]) -> None:
    """Matrices or not, each parameter has its layer's rate, and its scale for a scheduler."""
    model, lr = _Net(), RATES[cls]
    optimizer = cls([*_by_layer(model, lr, 0.5)], lr=lr)
    groups = {p: g for g in optimizer.param_groups for p in g["params"]}
    for layer, scale in ((model.embed, 0.125), (model.blocks[1], 0.5), (model.head, 1.0)):
        for p in layer.parameters():
            rates = [lr * scale]
            if cls is Muon and not groups[p]["use_matrix_rule"]:  # in a group with both kinds
                rates.append(pytest.approx(0.015 * lr * scale))
            assert groups[p]["lr"] in rates
            assert groups[p]["lr_scale"] == scale
            assert groups[p]["weight_decay"] == (0.05 if p.ndim > 1 else 0.0)
    assert _fit(model, optimizer) < 0.9


def _one_cycle(optimizer: Optimizer, *, cycle: bool) -> lr_scheduler.LRScheduler:
    rates = [group["lr"] for group in optimizer.param_groups]
    return lr_scheduler.OneCycleLR(optimizer, rates, total_steps=STEPS, cycle_momentum=cycle)


def _cyclic(optimizer: Optimizer, *, cycle: bool) -> lr_scheduler.LRScheduler:
    rates = [group["lr"] for group in optimizer.param_groups]
    low = [rate / 10 for rate in rates]
    return lr_scheduler.CyclicLR(optimizer, low, rates, step_size_up=5, cycle_momentum=cycle)


@classes
@pytest.mark.parametrize("make", [_one_cycle, _cyclic])
def test_cycles_of_rates(cls: type[Optimizer], make: Callable[..., Any]) -> None:
    model = _Net()
    optimizer = cls(parameter_groups(model) if cls is not Lion else model.parameters())
    for group in optimizer.param_groups:
        group["lr"] = RATES[cls]
    schedule = make(optimizer, cycle=cls is Lion)  # where each rule has another momentum: False
    assert _fit(model, optimizer, schedule.step) < 0.9


@classes
def test_averages_of_weights(cls: type[Optimizer]) -> None:
    model = _Net()
    optimizer = cls(model.named_parameters(), lr=RATES[cls])
    average = AveragedModel(model)
    schedule = SWALR(optimizer, swa_lr=RATES[cls] / 2, anneal_epochs=5)

    def after() -> None:
        schedule.step()
        average.update_parameters(model)

    assert _fit(model, optimizer, after) < 0.9
    x, y = _data()
    assert nn.functional.cross_entropy(average(x), y) < 1.0
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx(
        [RATES[cls] / 2] * len(optimizer.param_groups)
    )


@classes
def test_scaled_gradients(cls: type[Optimizer]) -> None:
    """An overflow skips the step; otherwise the scale makes no difference."""
    model, twin = _Net(), _Net()
    optimizer, other = (cls(m.named_parameters(), lr=RATES[cls]) for m in (model, twin))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=1000)
    x, y = _data()
    for step in range(5):
        for m in (model, twin):
            m.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        scaler.scale(loss * (torch.inf if step == 2 else 1.0)).backward()
        scaler.step(optimizer)
        scaler.update()
        if step != 2:
            nn.functional.cross_entropy(twin(x), y).backward()
            other.step()
    assert_close(list(model.parameters()), list(twin.parameters()))


@classes
def test_parameters_in_bfloat16(cls: type[Optimizer]) -> None:
    model = _Net().bfloat16()
    optimizer = cls(model.named_parameters(), lr=RATES[cls])
    x, y = _data()
    for _ in range(STEPS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x.bfloat16()).float(), y).backward()
        optimizer.step()
    assert nn.functional.cross_entropy(model(x.bfloat16()).float(), y) < 0.9
    for state in optimizer.state.values():
        averages = {value.dtype for name, value in state.items() if name != "step"}
        assert averages == {torch.bfloat16}


# With packages of the `examples` extra.


def _quiet(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)


def _gpt() -> Any:
    transformers = _quiet("transformers")
    torch.manual_seed(0)
    sizes = {"vocab_size": 32, "n_positions": 8, "n_embd": 16, "n_layer": 1, "n_head": 2}
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)
    )


def _trained(model: Any, folder: Path, **how: Any) -> Any:
    """Return a Trainer of Hugging Face after some steps."""
    transformers = _quiet("transformers")
    tokens = (torch.arange(64)[:, None] + torch.arange(8)) % 32
    options = transformers.TrainingArguments(
        output_dir=str(folder),
        max_steps=STEPS,
        per_device_train_batch_size=16,
        learning_rate=3e-3,
        weight_decay=0.1,
        logging_steps=5,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    )
    data = [{"input_ids": row, "labels": row} for row in tokens]
    trainer = transformers.Trainer(model, options, train_dataset=data, **how)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert float(losses[-1]) < 0.95 * float(losses[0])
    return trainer


def _plain(trainer: Any) -> Optimizer:
    """Return the optimizer within what accelerate wraps it in."""
    return getattr(trainer.optimizer, "optimizer", trainer.optimizer)


def _ruled(optimizer: Optimizer, model: nn.Module) -> set[str]:
    """Return the names of parameters that the rule for matrices moves."""
    names = {p: name for name, p in model.named_parameters()}
    groups = (g for g in optimizer.param_groups if g["use_matrix_rule"])
    return {names[p] for group in groups for p in group["params"]}


_HIDDEN = {f"transformer.h.0.{x}.weight" for x in ("attn.c_attn", "attn.c_proj")}
_HIDDEN |= {f"transformer.h.0.mlp.{x}.weight" for x in ("c_fc", "c_proj")}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("cls", [Muon, ShortMuon])
def test_hugging_face(cls: type[Optimizer], tmp_path: Path) -> None:
    model = _gpt()
    optimizer = cls(parameter_groups(model), lr=RATES[cls])
    trainer = _trained(model, tmp_path, optimizers=(optimizer, None))
    assert _ruled(_plain(trainer), model) == _HIDDEN
    model = _gpt()
    how = {"params": parameter_groups(model), "lr": RATES[cls], "weight_decay": 0.2}
    trainer = _trained(model, tmp_path, optimizer_cls_and_kwargs=(cls, how))
    assert _ruled(_plain(trainer), model) == _HIDDEN  # no embedding, which is tied to the head
    assert set(_decays(_plain(trainer)).values()) == {0.2}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_hugging_face_with_groups_of_its_own(tmp_path: Path) -> None:
    """Decay for matrices and none for vectors, as the arguments of the Trainer say."""
    model = _gpt()
    trainer = _trained(model, tmp_path, optimizer_cls_and_kwargs=(Lion, {"lr": 1e-3}))
    names = {p: name for name, p in model.named_parameters()}
    decays = {names[p]: decay for p, decay in _decays(_plain(trainer)).items()}
    assert decays["transformer.wte.weight"] == 0.1
    assert decays["transformer.ln_f.weight"] == decays["transformer.h.0.mlp.c_fc.bias"] == 0.0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@classes
def test_accelerate(cls: type[Optimizer], tmp_path: Path) -> None:
    accelerate = _quiet("accelerate")
    accelerator = accelerate.Accelerator(cpu=True)
    model = _Net()
    groups = parameter_groups(model) if cls is not Lion else model.named_parameters()
    plain = cls(groups, lr=RATES[cls])
    schedule = lr_scheduler.LinearLR(plain, 1.0, 0.1, STEPS)
    model, optimizer, schedule = accelerator.prepare(model, plain, schedule)
    x, y = _data()
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    accelerator.save_state(str(tmp_path))
    before = [p.detach().clone() for p in model.parameters()]
    optimizer.step()
    accelerator.load_state(str(tmp_path))
    assert_close([p.detach() for p in model.parameters()], before)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_lightning() -> None:
    lightning = _quiet("lightning")

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = _Net()
            self.losses: list[float] = []

        def training_step(self, batch: Any, _: int) -> Tensor:
            loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
            self.losses.append(loss.item())
            return loss

        def configure_optimizers(self) -> Any:
            optimizer = ShortMuon(parameter_groups(self), lr=RATES[ShortMuon])
            schedule = lr_scheduler.LinearLR(optimizer, 1.0, 0.1, STEPS)
            return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    x, y = _data()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=32)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    module = Module()
    lightning.Trainer(max_epochs=STEPS, accelerator="cpu", gradient_clip_val=1.0, **quiet).fit(
        module, loader
    )
    assert module.losses[-1] < 0.9 * module.losses[0]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_adapters() -> None:
    """LoRA's factors are pieces of a weight: they, and they alone, get the rule for the others."""
    peft = _quiet("peft")
    config = peft.LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True)
    model = peft.get_peft_model(_gpt(), config)
    groups = parameter_groups(model)
    assert [group["use_matrix_rule"] for group in groups] == [False]
    assert all("lora_" in name for name, _ in groups[0]["params"])
    trained = [p for p in model.parameters() if p.requires_grad]
    before = [p.detach().clone() for p in model.parameters() if not p.requires_grad]
    optimizer = ShortMuon(groups, lr=1e-2)
    tokens = (torch.arange(64)[:, None] + torch.arange(8)) % 32
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert {p for g in optimizer.param_groups for p in g["params"]} == {*trained}
    assert_close([p.detach() for p in model.parameters() if not p.requires_grad], before)
