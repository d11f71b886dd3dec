"""Language modelling on windows of a long text: what the tasks of this kind have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from proxy_tasks.kernels.chunks import by_lanes, grouped
from proxy_tasks.task import Batch, Parameter, Task, Weights, generator
from proxy_tasks.tasks.language_model import LanguageModel

__all__ = ["LanguageTask"]


@dataclass(frozen=True)
class LanguageTask(Task):
    """Predict the next symbol. A batch is one tensor: starts (L, N) of windows into the text.

    Training windows end before the validation part of the text begins.
    """

    steps: int = 150
    batch: int = 16
    """Windows a step."""
    context: int = 32
    """Symbols a window."""
    width: int = 32
    layers: int = 1
    heads: int = 2
    windows: int = 128
    """Validation windows, evenly spaced."""

    @abstractmethod
    def symbols(self, device: torch.device) -> tuple[Tensor, int]:
        """Return the text as integers and where its validation part begins."""

    @property
    @abstractmethod
    def model(self) -> LanguageModel:
        """The transformer."""

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

    @property
    def lane_bytes(self) -> float:
        """Of the weights, their gradients and the activations."""
        return super().lane_bytes + self.model.activation_bytes(self.batch)

    def initialize(self, seed: int) -> dict[str, Tensor]:
        """Return the initial weights of one seed."""
        return self.model.initialize(generator(seed, f"{self.family}/initialize"))

    def content(self) -> tuple[Tensor, ...]:
        """Return the text."""
        return (self.symbols(torch.device("cpu"))[0],)

    def draw(self, seed: int) -> Batch:
        """Return starts (steps, batch) of training windows, drawn with replacement."""
        _, boundary = self.symbols(torch.device("cpu"))
        random = generator(seed, f"{self.family}/draw")
        shape = (self.steps, self.batch)
        return (torch.randint(boundary - self.context, shape, generator=random),)

    def validation(self, seed: int) -> Batch:  # noqa: ARG002 - the same windows for every seed
        """Return starts (windows,) in the validation part."""
        text, boundary = self.symbols(torch.device("cpu"))
        room = len(text) - boundary - self.context
        return (boundary + torch.arange(self.windows) * room // self.windows,)

    def _windows(self, batch: Batch) -> Tensor:
        """Return the symbols (L, N, context + 1) of windows and of what follows them."""
        (starts,) = batch
        lanes = starts.shape[0]
        if starts.stride(0) == 0:  # lanes that share a batch share its memory
            starts = starts[:1]
        text, _ = self.symbols(starts.device)
        offsets = torch.arange(self.context + 1, device=starts.device)
        return text[starts.unsqueeze(-1) + offsets].long().expand(lanes, -1, -1)

    def loss(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the mean cross-entropy of each lane."""
        return self.model.loss(weights, self._windows(batch))

    def gradient(self, weights: Weights, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Write each lane's gradient, by the transformer's own backward pass."""
        self._gradient(weights, (self._windows(batch),), out)  # looked up once for all groups

    @grouped
    def _gradient(self, weights: Weights, batch: Batch, out: Mapping[str, Tensor]) -> None:
        (tokens,) = batch
        self.model.gradient(weights, tokens, out)

    def evaluate(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the cross-entropy on the validation windows."""
        return by_lanes(self.loss, weights, batch, lanes=1)
