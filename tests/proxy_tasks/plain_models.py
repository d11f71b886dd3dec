"""The proxy tasks' models as a user would write them: one at a time, with torch.nn.

The oracle that a lane is tested against. Nothing here uses the models in `proxy_tasks`, only its
data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from proxy_tasks.data.digits import digits
from proxy_tasks.data.tables import CLASSES, table
from proxy_tasks.task import Task
from proxy_tasks.tasks.char_lm import CharLM
from proxy_tasks.tasks.cifar10 import Cifar10, cifar10
from proxy_tasks.tasks.digits_conv import DigitsConv
from proxy_tasks.tasks.digits_mlp import DigitsMLP
from proxy_tasks.tasks.digits_vit import DigitsViT
from proxy_tasks.tasks.language_task import LanguageTask
from proxy_tasks.tasks.least_squares import LeastSquares
from proxy_tasks.tasks.matrix_factorization import MatrixFactorization
from proxy_tasks.tasks.table import Table
from proxy_tasks.tasks.teacher_student import TeacherStudent
from proxy_tasks.tasks.token_files import TokenFiles
from proxy_tasks.tasks.token_lm import TokenLM
from proxy_tasks.tasks.two_sided_least_squares import TwoSidedLeastSquares
from proxy_tasks.tasks.varying_batch import VaryingBatch
from proxy_tasks.tasks.zipf_bigram import ZipfBigram

__all__ = ["load", "parameter", "plain_model"]


def plain_model(task: Task) -> nn.Module:
    """Return a module whose call on one lane's batch, without the lane dimension, is the loss."""
    if type(task) not in _MODELS:
        name = type(task).__name__
        raise LookupError(f"no plain model of {name} to compare with; add one to _MODELS here")
    return _MODELS[type(task)](task)


def parameter(model: nn.Module, name: str) -> nn.Parameter:
    """Return the parameter that a task calls `name`."""
    parameters = dict(model.named_parameters())
    return parameters[name] if name in parameters else parameters[f"{name}.weight"]


def load(model: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    """Copy a task's weights of one lane into the model, and take over their precision."""
    model.to(next(iter(weights.values())).dtype)
    with torch.no_grad():
        for name, value in weights.items():
            parameter(model, name).copy_(value)
    return model


class _MLP(nn.Module):
    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.depth = len(sizes) - 1
        for i in range(self.depth):
            self.add_module(f"layer{i}", nn.Linear(sizes[i], sizes[i + 1]))

    def output(self, x: Tensor) -> Tensor:
        for i in range(self.depth):
            x = self.get_submodule(f"layer{i}")(x)
            if i < self.depth - 1:
                x = F.relu(x)
        return x


class _DigitsMLP(_MLP):
    def __init__(self, task: DigitsMLP) -> None:
        super().__init__(64, *task.hidden, 10)
        images, self.labels = digits(torch.float64, torch.device("cpu"))
        self.register_buffer("images", images)

    def forward(self, index: Tensor) -> Tensor:
        return F.cross_entropy(self.output(self.get_buffer("images")[index]), self.labels[index])


class _Table(_MLP):
    def __init__(self, task: Table) -> None:
        x, y, _ = table(task.data, torch.float64, torch.device("cpu"))
        classes = CLASSES[task.data]
        super().__init__(x.shape[1], *task.hidden, classes or 1)
        self.targets, self.classes = y, classes
        self.register_buffer("rows", x)

    def forward(self, index: Tensor) -> Tensor:
        output, y = self.output(self.get_buffer("rows")[index]), self.targets[index]
        if self.classes:
            return F.cross_entropy(output, y)
        return F.mse_loss(output[:, 0], y) / 2


class _TeacherStudent(_MLP):
    def __init__(self, task: TeacherStudent) -> None:
        super().__init__(task.inputs, *task.hidden, task.outputs)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return F.mse_loss(self.output(x), y) / 2


class _ZipfBigram(_MLP):
    def __init__(self, task: ZipfBigram) -> None:
        super().__init__(task.width, task.hidden, task.vocabulary)
        self.embedding = nn.Embedding(task.vocabulary, task.width)

    def forward(self, words: Tensor, after: Tensor) -> Tensor:
        return F.cross_entropy(self.output(self.embedding(words)), after)


class _ConvNet(nn.Module):
    def __init__(self, channels: tuple[int, ...], side: int) -> None:
        super().__init__()
        self.depth = len(channels) - 1
        for i in range(self.depth):
            first = {"kernel_size": 3, "padding": 1}
            later = {"kernel_size": 2, "stride": 2}
            layer = nn.Conv2d(channels[i], channels[i + 1], **(later if i else first))
            self.add_module(f"conv{i}", layer)
        self.head = nn.Linear(channels[-1] * (side >> (self.depth - 1)) ** 2, 10)

    def output(self, x: Tensor) -> Tensor:
        for i in range(self.depth):
            x = F.relu(self.get_submodule(f"conv{i}")(x))
        return self.head(x.movedim(1, -1).flatten(1))


class _DigitsConv(_ConvNet):
    def __init__(self, task: DigitsConv) -> None:
        super().__init__((1, *task.channels), 8)
        images, self.labels = digits(torch.float64, torch.device("cpu"))
        self.register_buffer("images", images.view(-1, 1, 8, 8))

    def forward(self, index: Tensor) -> Tensor:
        return F.cross_entropy(self.output(self.get_buffer("images")[index]), self.labels[index])


class _Cifar10(_ConvNet):
    def __init__(self, task: Cifar10) -> None:
        super().__init__((3, *task.channels), 32)
        images, self.labels, _ = cifar10(task.path, torch.device("cpu"))
        self.register_buffer("images", (images.double() - 120) / 64)

    def forward(self, index: Tensor) -> Tensor:
        return F.cross_entropy(self.output(self.get_buffer("images")[index]), self.labels[index])


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.project = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = F.rms_norm(x, x.shape[-1:], eps=1e-6)
        layers = (self.query, self.key, self.value)
        q, k, v = (f(h).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in layers)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self.project(mixed.transpose(1, 2).flatten(2))
        return x + self.down(F.relu(self.up(F.rms_norm(x, x.shape[-1:], eps=1e-6))))


class _DigitsViT(nn.Module):
    def __init__(self, task: DigitsViT) -> None:
        super().__init__()
        self.depth = task.layers
        self.patch = nn.Linear(4, task.width, bias=False)
        self.position = nn.Parameter(torch.empty(16, task.width))
        for i in range(task.layers):
            self.add_module(f"block{i}", _Block(task.width, task.heads, causal=False))
        self.head = nn.Linear(task.width, 10, bias=False)
        images, self.labels = digits(torch.float64, torch.device("cpu"))
        tiles = images.view(-1, 8, 8).unfold(1, 2, 2).unfold(2, 2, 2)
        self.register_buffer("tiles", tiles.reshape(-1, 16, 4))

    def forward(self, index: Tensor) -> Tensor:
        x = self.patch(self.get_buffer("tiles")[index]) + self.position
        for i in range(self.depth):
            x = self.get_submodule(f"block{i}")(x)
        logits = self.head(F.rms_norm(x, x.shape[-1:], eps=1e-6).mean(1))
        return F.cross_entropy(logits, self.labels[index])


class _LanguageModel(nn.Module):
    def __init__(self, task: LanguageTask) -> None:
        super().__init__()
        self.context, self.depth = task.context, task.layers
        vocabulary = task.model.vocabulary
        self.embedding = nn.Embedding(vocabulary, task.width)
        self.position = nn.Parameter(torch.empty(task.context, task.width))
        for i in range(task.layers):
            self.add_module(f"block{i}", _Block(task.width, task.heads, causal=True))
        self.head = nn.Linear(task.width, vocabulary, bias=False)
        self.text, _ = task.symbols(torch.device("cpu"))

    def forward(self, starts: Tensor) -> Tensor:
        tokens = self.text[starts[:, None] + torch.arange(self.context + 1)].long()
        x = self.embedding(tokens[:, :-1]) + self.position
        for i in range(self.depth):
            x = self.get_submodule(f"block{i}")(x)
        logits = self.head(F.rms_norm(x, x.shape[-1:], eps=1e-6))
        return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


class _LeastSquares(nn.Linear):
    def __init__(self, task: LeastSquares) -> None:
        super().__init__(task.inputs, task.outputs, bias=False)

    def forward(self, input: Tensor, y: Tensor) -> Tensor:
        return F.mse_loss(super().forward(input), y) / 2


class _TwoSidedLeastSquares(nn.Linear):
    def __init__(self, task: TwoSidedLeastSquares) -> None:
        super().__init__(task.inputs, task.outputs, bias=False)
        self.register_buffer("mapping", task.mapping)

    def forward(self, input: Tensor, y: Tensor) -> Tensor:
        return F.mse_loss(F.linear(super().forward(input), self.mapping), y) / 2


class _VaryingBatch(nn.Linear):
    def __init__(self, task: VaryingBatch) -> None:
        super().__init__(task.inputs, 1, bias=False)

    def forward(self, input: Tensor, xy: Tensor, yy: Tensor) -> Tensor:
        w = self.weight[0]
        return torch.dot(w, input @ w) / 2 - torch.dot(xy, w) + yy


class _MatrixFactorization(nn.Module):
    def __init__(self, task: MatrixFactorization) -> None:
        super().__init__()
        self.left = nn.Parameter(torch.empty(task.rows, task.rank))
        self.right = nn.Parameter(torch.empty(task.cols, task.rank))

    def forward(self, observed: Tensor) -> Tensor:
        return F.mse_loss(self.left @ self.right.T, observed) / 2


_MODELS: dict[type[Task], Callable[..., nn.Module]] = {
    CharLM: _LanguageModel,
    Cifar10: _Cifar10,
    DigitsConv: _DigitsConv,
    DigitsMLP: _DigitsMLP,
    DigitsViT: _DigitsViT,
    LeastSquares: _LeastSquares,
    MatrixFactorization: _MatrixFactorization,
    Table: _Table,
    TeacherStudent: _TeacherStudent,
    TokenFiles: _LanguageModel,
    TokenLM: _LanguageModel,
    TwoSidedLeastSquares: _TwoSidedLeastSquares,
    VaryingBatch: _VaryingBatch,
    ZipfBigram: _ZipfBigram,
}
