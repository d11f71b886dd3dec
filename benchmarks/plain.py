"""The plain training loop that packs are compared with: one model, one run at a time.

It is written as a careful user would: eager `torch.nn`, ready-made optimizers, gradients set to
None, the fused attention of PyTorch, no synchronisation and no logging inside the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from lion_pytorch import Lion
from muon import SingleDeviceMuonWithAuxAdam
from torch import Tensor, nn
from torch.nn import functional

from proxy_tasks.tasks.char_lm import CharLM
from proxy_tasks.tasks.digits_mlp import DigitsMLP

__all__ = ["OPTIMIZERS", "Run", "digits", "language_model"]

Optimizers = Callable[[nn.Module, float], Any]


@dataclass(frozen=True)
class Run:
    """One training run: everything but the task."""

    optimizer: Optimizers
    lr: float
    seed: int
    device: str = "cpu"
    compiled: bool = False
    """Whether the model goes through `torch.compile`."""

    def train(self, model: nn.Module, batches: Iterator[tuple[Tensor, Tensor]], steps: int) -> None:
        """Train a model on the batches."""
        forward = torch.compile(model) if self.compiled else model
        train(forward, self.optimizer(model, self.lr), batches, steps)


def adamw(model: nn.Module, lr: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.99))


def lion(model: nn.Module, lr: float) -> torch.optim.Optimizer:
    return Lion(model.parameters(), lr=lr)


def muon(model: nn.Module, lr: float) -> torch.optim.Optimizer:
    parameters = dict(model.named_parameters())
    hidden = [p for n, p in parameters.items() if p.ndim == 2 and n.startswith("hidden")]
    others = [p for n, p in parameters.items() if not (p.ndim == 2 and n.startswith("hidden"))]
    return SingleDeviceMuonWithAuxAdam(
        [
            {"params": hidden, "use_muon": True, "lr": 10 * lr},
            {"params": others, "use_muon": False, "lr": lr},
        ]
    )


OPTIMIZERS: dict[str, Optimizers] = {"adamw": adamw, "lion": lion, "muon": muon}
"""Ready-made optimizers under the names of the programs that compute the same."""


def train(
    forward: Callable[[Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    batches: Iterator[tuple[Tensor, Tensor]],
    steps: int,
) -> None:
    initial = [group["lr"] for group in optimizer.param_groups]
    for step, (x, y) in enumerate(batches):
        optimizer.zero_grad()
        functional.cross_entropy(forward(x), y).backward()
        for group, lr in zip(optimizer.param_groups, initial, strict=True):
            group["lr"] = lr * (1 - step / steps)
        optimizer.step()


def end_value(model: nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        return float(functional.cross_entropy(model(x), y))


class Perceptron(nn.Module):
    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes[:-1]))
        self.head = nn.Linear(sizes[-2], sizes[-1])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.hidden:
            x = functional.relu(layer(x))
        return self.head(x)


def digits(task: DigitsMLP, run: Run) -> float:
    """Train the micro task once and return the validation loss."""
    from proxy_tasks.data.digits import TRAINING
    from proxy_tasks.data.digits import digits as load

    images, labels = load(torch.float32, torch.device(run.device))
    torch.manual_seed(run.seed)
    model = Perceptron((64, *task.hidden, 10)).to(run.device)
    index = torch.randint(TRAINING, (task.steps, task.batch)).to(run.device)
    batches = ((images[i], labels[i]) for i in index)
    run.train(model, batches, task.steps)
    return end_value(model, images[TRAINING:], labels[TRAINING:])


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.RMSNorm(width, elementwise_affine=False) for _ in range(2))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.project = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(self.norms[0](x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.project(mixed.transpose(1, 2).flatten(2))
        return x + self.down(functional.relu(self.up(self.norms[1](x))))


class LanguageModel(nn.Module):
    def __init__(self, task: CharLM, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, task.width)
        self.position = nn.Embedding(task.context, task.width)
        self.hidden = nn.ModuleList(Block(task.width, task.heads) for _ in range(task.layers))
        self.norm = nn.RMSNorm(task.width, elementwise_affine=False)
        self.head = nn.Linear(task.width, vocabulary, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens) + self.position.weight
        for block in self.hidden:
            x = block(x)
        return self.head(self.norm(x)).transpose(1, 2)


def language_model(task: CharLM, run: Run) -> float:
    """Train the character language model once and return the validation loss."""
    from proxy_tasks.data.corpus import VOCABULARY, corpus

    text, boundary = corpus(task.path, task.megabytes, torch.device(run.device))
    torch.manual_seed(run.seed)
    model = LanguageModel(task, VOCABULARY).to(run.device)
    starts = torch.randint(boundary - task.context, (task.steps, task.batch)).to(run.device)
    window = torch.arange(task.context + 1, device=run.device)

    def split(begin: Tensor) -> tuple[Tensor, Tensor]:
        tokens = text[begin.unsqueeze(1) + window].long()
        return tokens[:, :-1], tokens[:, 1:]

    run.train(model, (split(s) for s in starts), task.steps)
    room = len(text) - boundary - task.context
    windows = torch.arange(task.windows, device=run.device)
    return end_value(model, *split(boundary + windows * room // task.windows))
