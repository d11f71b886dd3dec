"""Predict the next word from the last, word frequencies following Zipf's law.

Rare classes dominate the loss that is left, which separates optimizers as language does; yet the
true distribution is known, so the loss is measured exactly and so is its floor, the entropy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from proxy_tasks.kernels.chunks import by_lanes, grouped
from proxy_tasks.models.embedding import embed, embed_backward, rows_of
from proxy_tasks.models.losses import cross_entropy, cross_entropy_gradient
from proxy_tasks.models.mlp import MLP
from proxy_tasks.task import Batch, Parameter, Role, Task, Weights, generator

__all__ = ["ZipfBigram"]


@dataclass(frozen=True)
class ZipfBigram(Task):
    """Embed a word, apply a perceptron, predict the next word.

    Word i is drawn with probability proportional to 1/i, and followed by word j with probability
    proportional to ``exp(a_i b_j) / j`` for normal vectors a and b that are the same for all seeds.
    A batch is two tensors (L, N): words and the words that follow them.
    """

    family: ClassVar[str] = "zipf_bigram"
    summary: ClassVar[str] = "MLP bigram model of a Zipf language; expected cross-entropy"
    metric: ClassVar[str] = "expected cross-entropy (nats)"

    steps: int = 150
    vocabulary: int = 128
    width: int = 32
    """Length of an embedding."""
    hidden: int = 64
    batch: int = 256
    """Pairs of words a step."""
    rank: int = 8
    """Length of the vectors a and b, which have covariance 1 / sqrt(rank)."""

    @property
    def model(self) -> MLP:
        """The perceptron after the embedding."""
        return MLP((self.width, self.hidden, self.vocabulary))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The embedding and the perceptron's weights."""
        embedding = Parameter("embedding", (self.vocabulary, self.width), Role.EMBEDDING)
        return (embedding, *self.model.parameters)

    @property
    def floor(self) -> float:
        """The entropy of the next word given the last, exactly."""
        first, following = _language(self.vocabulary, self.rank)
        return -float((first[:, None] * torch.xlogy(following, following)).sum())

    @property
    def flops(self) -> float:
        """The perceptron's."""
        return self.model.flops(self.batch, input_gradient=True)

    @property
    def lane_bytes(self) -> float:
        """Of the weights, their gradients and the activations."""
        return super().lane_bytes + self.model.activation_bytes(self.batch)

    def initialize(self, seed: int) -> dict[str, Tensor]:
        """Return the initial weights of one seed."""
        random = generator(seed, "zipf_bigram/initialize")
        embedding = torch.randn(self.vocabulary, self.width, generator=random)
        return {"embedding": embedding, **self.model.initialize(random)}

    def draw(self, seed: int) -> Batch:
        """Return words and following words, each (steps, batch)."""
        random = generator(seed, "zipf_bigram/draw")
        first, following = _language(self.vocabulary, self.rank)
        count = self.steps * self.batch
        words = torch.multinomial(first, count, replacement=True, generator=random)
        draws = torch.rand(count, 1, generator=random, dtype=torch.float64)
        ends = following.cumsum(1)[words]
        after = torch.searchsorted(ends, draws).clamp_(max=self.vocabulary - 1)
        shape = (self.steps, self.batch)
        return words.view(shape), after.view(shape)

    def validation(self, seed: int) -> Batch:  # noqa: ARG002 - the same words for every seed
        """Return all words (vocabulary,)."""
        return (torch.arange(self.vocabulary),)

    def loss(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the mean cross-entropy of each lane."""
        words, after = batch
        return cross_entropy(self._logits(weights, words), after)

    def _logits(self, weights: Weights, words: Tensor) -> Tensor:
        """Return the logits (L, vocabulary, N) of what follows each word."""
        lane = torch.arange(words.shape[0], device=words.device)[:, None]
        return self.model(weights, weights["embedding"][lane, words].transpose(1, 2))

    @grouped
    def gradient(self, weights: Weights, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Write each lane's gradient, by the perceptron's own backward pass."""
        words, after = batch
        lanes, count = words.shape
        rows = rows_of(words, self.vocabulary)
        x = embed(weights["embedding"], rows).view(lanes, count, self.width).transpose(1, 2)
        delta = self.model.backward(
            weights,
            x,
            lambda logits: cross_entropy_gradient(logits, after),
            1 / count,
            out,
            input_gradient=True,
        )
        assert delta is not None
        delta = delta.transpose(1, 2).reshape(-1, self.width)
        embed_backward(delta, rows, out["embedding"])

    def evaluate(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the cross-entropy of each lane under the true distribution, in float64."""
        return by_lanes(self._expected, weights, batch, lanes=16)

    def _expected(self, weights: Weights, batch: Batch) -> Tensor:
        logits = self._logits(weights, batch[0]).double()
        first, following = (p.to(logits.device) for p in _language(self.vocabulary, self.rank))
        divergence = following.T * (following.T.log() - logits.log_softmax(1))
        return self.floor + (divergence.sum(1) * first).sum(1).clamp_min(0)


@lru_cache(maxsize=4)
def _language(vocabulary: int, rank: int) -> tuple[Tensor, Tensor]:
    """Return the probabilities of words (vocabulary,) and of words given the one before them."""
    random = generator(0, "zipf_bigram/language")
    shape = (2, vocabulary, rank)
    a, b = torch.randn(shape, generator=random, dtype=torch.float64) * rank**-0.25
    frequency = 1 / torch.arange(1, vocabulary + 1, dtype=torch.float64)
    return frequency / frequency.sum(), (a @ b.T + frequency.log()).softmax(1)
