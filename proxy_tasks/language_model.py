"""A language model in lanes: token and position embeddings, transformer blocks, an untied head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from proxy_tasks.chunks import groups, select
from proxy_tasks.losses import cross_entropy, cross_entropy_gradient
from proxy_tasks.task import Parameter, Role, Weights
from proxy_tasks.transformer import Transformer, rms_norm, rms_norm_backward

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
        x, _ = rms_norm(self.blocks(weights, x).flatten(1, 2))
        logits = x @ weights["head"].transpose(1, 2)
        return cross_entropy(logits, targets.flatten(1), classes=2)

    def gradient(self, weights: Weights, tokens: Tensor, out: Mapping[str, Tensor]) -> None:
        """Write the gradient of `loss` into `out`, a few lanes at a time."""
        tokens_each = tokens[0].numel()
        scores = self.heads * self.context
        entries = self.vocabulary + self.depth * (16 * self.width + scores)
        size = tokens_each * entries * weights["head"].element_size()
        for lanes in groups(tokens.shape[0], size):
            self._gradient(select(weights, lanes), tokens[lanes], select(out, lanes))

    def _gradient(self, weights: Weights, tokens: Tensor, out: Mapping[str, Tensor]) -> None:
        lanes, sequences, _ = tokens.shape
        targets = tokens[..., 1:].reshape(lanes, -1)
        first = torch.arange(lanes, device=tokens.device)[:, None, None] * self.vocabulary
        rows = (tokens[..., :-1] + first).view(-1)

        embedding = weights["embedding"].reshape(-1, self.width)
        x = embedding.index_select(0, rows).view(lanes, sequences, self.context, self.width)
        x += weights["position"].unsqueeze(1)
        x, tapes = self.blocks.forward(weights, x)
        normed, inverse = rms_norm(x.view(lanes, -1, self.width))
        logits = torch.bmm(normed, weights["head"].transpose(1, 2))

        delta = cross_entropy_gradient(logits, targets, classes=2)
        scale = 1 / targets.shape[1]
        out["head"].baddbmm_(delta.transpose(1, 2), normed, beta=0, alpha=scale)
        inner = torch.empty_like(normed).baddbmm_(delta, weights["head"], beta=0, alpha=scale)
        inner = rms_norm_backward(inner, normed, inverse).view(x.shape)
        inner = self.blocks.backward(weights, tapes, inner, out)
        torch.sum(inner, 1, out=out["position"])
        table = torch.ops.aten.embedding_dense_backward(
            inner.view(-1, self.width), rows, embedding.shape[0], -1, False
        )
        out["embedding"].copy_(table.view(out["embedding"].shape))
