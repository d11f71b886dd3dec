"""A language model in lanes: token and position embeddings, transformer blocks, an untied head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from proxy_tasks.kernels.matmul import baddbmm, bmm, bmm_into
from proxy_tasks.models.embedding import embed, embed_backward, rows_of
from proxy_tasks.models.losses import cross_entropy, cross_entropy_gradient
from proxy_tasks.models.norm import rms_norm, rms_norm_backward, rms_norm_forward
from proxy_tasks.models.transformer import Transformer
from proxy_tasks.task import Parameter, Role, Weights

__all__ = ["LanguageModel"]


@dataclass(frozen=True)
class LanguageModel:
    """Predicts each token from those before it."""

    vocabulary: int
    context: int
    width: int
    depth: int
    heads: int

    @property
    def blocks(self) -> Transformer:
        """The blocks between embedding and head."""
        return Transformer(self.width, self.depth, self.heads, causal=True)

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Embeddings, the blocks' matrices, the head."""
        return (
            Parameter("embedding", (self.vocabulary, self.width), Role.EMBEDDING),
            Parameter("position", (self.context, self.width), Role.EMBEDDING),
            *self.blocks.parameters,
            Parameter("head", (self.vocabulary, self.width), Role.HEAD),
        )

    def flops(self, sequences: int) -> float:
        """Return the operations in matrix products of one step."""
        tokens = sequences * self.context
        head = 6.0 * tokens * self.vocabulary * self.width
        return head + self.blocks.flops(tokens, self.context)

    def activation_bytes(self, sequences: int) -> float:
        """Return the bytes of activations and their gradients in one lane's step."""
        tokens = sequences * self.context
        return 8.0 * tokens * self.vocabulary + self.blocks.activation_bytes(tokens, self.context)

    def initialize(self, random: torch.Generator) -> dict[str, Tensor]:
        """Return the initial weights: unit entries in the embedding, small ones in the head."""
        blocks = self.blocks.initialize(random)
        scale = {"embedding": 1.0, "position": 0.3, "head": 1 / self.width}
        return {
            p.name: blocks[p.name]
            if p.name in blocks
            else torch.randn(p.shape, generator=random) * scale[p.name]
            for p in self.parameters
        }

    def loss(self, weights: Weights, tokens: Tensor) -> Tensor:
        """Return each lane's mean cross-entropy (L,) for tokens (L, B, context + 1)."""
        inputs, targets = tokens[..., :-1], tokens[..., 1:]
        lane = torch.arange(tokens.shape[0], device=tokens.device)[:, None, None]
        x = weights["embedding"][lane, inputs] + weights["position"].unsqueeze(1)
        x = rms_norm(self.blocks(weights, x).flatten(1, 2))
        logits = x @ weights["head"].transpose(1, 2)
        return cross_entropy(logits, targets.flatten(1), classes=2)

    def gradient(self, weights: Weights, tokens: Tensor, out: Mapping[str, Tensor]) -> None:
        """Write the gradient of `loss` into `out`."""
        lanes, sequences, _ = tokens.shape
        targets = tokens[..., 1:].reshape(lanes, -1)
        rows = rows_of(tokens[..., :-1], self.vocabulary)

        x = embed(weights["embedding"], rows)
        x = x.view(lanes, sequences, self.context, self.width).add_(
            weights["position"].unsqueeze(1)
        )
        x, tapes = self.blocks.forward(weights, x)
        normed, inverse = rms_norm_forward(x.view(lanes, -1, self.width))
        logits = bmm(normed, weights["head"].transpose(1, 2))

        delta = cross_entropy_gradient(logits, targets, classes=2)
        scale = 1 / targets.shape[1]
        bmm_into(out["head"], delta.transpose(1, 2), normed, scale)
        inner = torch.empty_like(normed)
        baddbmm(inner, delta, weights["head"], beta=0, alpha=scale, out=inner)
        inner = rms_norm_backward(inner, normed, inverse).view(x.shape)
        inner = self.blocks.backward(weights, tapes, inner, out)
        torch.sum(inner, 1, out=out["position"])
        embed_backward(inner.view(-1, self.width), rows, out["embedding"])
