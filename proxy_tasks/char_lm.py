"""A character language model on source code: the smallest real task of its kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from proxy_tasks.corpus import VOCABULARY, corpus
from proxy_tasks.language_model import LanguageModel
from proxy_tasks.task import Batch, Parameter, Task, Weights, generator

__all__ = ["CharLM"]


@dataclass(frozen=True)
class CharLM(Task):
    """Predict the next character. A batch is one tensor: starts (L, N) of windows into the text.

    Training windows end before the validation part of the text begins.
    """

    family: ClassVar[str] = "char_lm"
    summary: ClassVar[str] = (
        "transformer on Python's standard library or your text; validation loss"
    )
    metric: ClassVar[str] = "validation cross-entropy (nats per character)"

    steps: int = 150
    batch: int = 8
    """Windows a step."""
    context: int = 64
    """Characters a window."""
    width: int = 32
    layers: int = 1
    heads: int = 2
    windows: int = 64
    """Validation windows, evenly spaced."""
    path: str = ""
    """A text file; empty for the installed Python's standard library."""
    megabytes: float = 2.0
    """How many million bytes of text to read at most; the last tenth is for validation."""

    @property
    def model(self) -> LanguageModel:
        """The transformer."""
        return LanguageModel(VOCABULARY, self.context, self.width, self.layers, self.heads)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The transformer's matrices."""
        return self.model.parameters

    @property
    def floor(self) -> float:
        """Unknown, hence 0."""
        return 0.0

    @property
    def flops(self) -> float:
        """The transformer's."""
        return self.model.flops(self.batch)

    def _text(self, device: torch.device) -> tuple[Tensor, int]:
        return corpus(self.path, self.megabytes, device)

    def initialize(self, seed: int) -> dict[str, Tensor]:
        """Return the initial weights of one seed."""
        return self.model.initialize(generator(seed, "char_lm/initialize"))

    def draw(self, seed: int) -> Batch:
        """Return starts (steps, batch) of training windows, drawn with replacement."""
        _, boundary = self._text(torch.device("cpu"))
        random = generator(seed, "char_lm/draw")
        shape = (self.steps, self.batch)
        return (torch.randint(boundary - self.context, shape, generator=random),)

    def examination(self, seed: int) -> Batch:  # noqa: ARG002 - the same windows for every seed
        """Return starts (windows,) in the validation part."""
        text, boundary = self._text(torch.device("cpu"))
        room = len(text) - boundary - self.context
        return (boundary + torch.arange(self.windows) * room // self.windows,)

    def _tokens(self, batch: Batch) -> Tensor:
        """Return the windows (L, N, context + 1)."""
        (starts,) = batch
        text, _ = self._text(starts.device)
        return text[starts.unsqueeze(-1) + torch.arange(self.context + 1, device=starts.device)]

    def loss(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the mean cross-entropy of each lane."""
        return self.model.loss(weights, self._tokens(batch))

    def gradient(self, weights: Weights, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Write each lane's gradient, by the transformer's own backward pass."""
        self.model.gradient(weights, self._tokens(batch), out)

    def evaluate(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the cross-entropy on the validation windows."""
        return self.loss(weights, batch)
