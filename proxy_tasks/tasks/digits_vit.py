"""Handwritten digits with a small vision transformer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from proxy_tasks.data.cache import kept
from proxy_tasks.data.digits import DigitsTask, digits
from proxy_tasks.kernels.chunks import grouped
from proxy_tasks.kernels.matmul import bmm, bmm_into
from proxy_tasks.models.losses import cross_entropy, cross_entropy_gradient
from proxy_tasks.models.norm import rms_norm, rms_norm_backward, rms_norm_forward
from proxy_tasks.models.transformer import Transformer
from proxy_tasks.task import Batch, Parameter, Role, Weights, generator

__all__ = ["DigitsViT"]

PATCHES = 16
"""An image is a sequence of 16 patches of 2 x 2 pixels."""


@dataclass(frozen=True)
class DigitsViT(DigitsTask):
    """Classify 8 x 8 images of digits. A batch is one tensor: indices (L, N) of images.

    Patches are embedded linearly, a learned position is added, and the head reads the mean over
    patches of the blocks' normed output.
    """

    family: ClassVar[str] = "digits_vit"
    summary: ClassVar[str] = "vision transformer on scikit-learn's digits; validation loss"

    steps: int = 240
    batch: int = 32
    width: int = 32
    layers: int = 2
    heads: int = 2

    @property
    def blocks(self) -> Transformer:
        """The blocks between embedding and head."""
        return Transformer(self.width, self.layers, self.heads, causal=False)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Embeddings, the blocks' matrices, the head."""
        return (
            Parameter("patch", (self.width, 4), Role.EMBEDDING),
            Parameter("position", (PATCHES, self.width), Role.EMBEDDING),
            *self.blocks.parameters,
            Parameter("head", (10, self.width), Role.HEAD),
        )

    @property
    def flops(self) -> float:
        """The blocks', the embedding's and the head's."""
        tokens = self.batch * PATCHES
        ends = 4.0 * tokens * 4 * self.width + 6.0 * self.batch * 10 * self.width
        return ends + self.blocks.flops(tokens, PATCHES)

    @property
    def lane_bytes(self) -> float:
        """Of the weights, their gradients and the activations."""
        return super().lane_bytes + self.blocks.activation_bytes(self.batch * PATCHES, PATCHES)

    def initialize(self, seed: int) -> dict[str, Tensor]:
        """Return the initial weights of one seed."""
        random = generator(seed, "digits_vit/initialize")
        blocks = self.blocks.initialize(random)
        scale = {"patch": 0.5, "position": 1.0, "head": self.width**-0.5}
        return {
            p.name: blocks[p.name]
            if p.name in blocks
            else torch.randn(p.shape, generator=random) * scale[p.name]
            for p in self.parameters
        }

    def _embed(self, weights: Weights, patches: Tensor) -> Tensor:
        """Return the residual stream (L, N, 16, width) for patches (L, N, 16, 4)."""
        flat = bmm(patches.flatten(1, 2), weights["patch"].transpose(1, 2))
        return flat.view(*patches.shape[:3], self.width) + weights["position"].unsqueeze(1)

    def loss(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the mean cross-entropy of each lane."""
        patches, labels = _images(weights, batch)
        normed = rms_norm(self.blocks(weights, self._embed(weights, patches)))
        logits = weights["head"] @ normed.mean(2).transpose(1, 2)
        return cross_entropy(logits, labels)

    @grouped
    def gradient(self, weights: Weights, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Write each lane's gradient, by the transformer's own backward pass."""
        patches, labels = _images(weights, batch)
        x, tapes = self.blocks.forward(weights, self._embed(weights, patches))
        normed, inverse = rms_norm_forward(x)
        mean = normed.mean(2)
        logits = bmm(weights["head"], mean.transpose(1, 2))

        classes = cross_entropy_gradient(logits, labels)
        scale = 1 / labels.shape[1]
        bmm_into(out["head"], classes, mean, scale)
        inner = bmm(classes.transpose(1, 2), weights["head"]).mul_(scale / PATCHES)
        inner = inner.unsqueeze(2).expand(x.shape).contiguous()
        inner = rms_norm_backward(inner, normed, inverse)
        inner = self.blocks.backward(weights, tapes, inner, out)
        torch.sum(inner, 1, out=out["position"])
        bmm_into(out["patch"], inner.flatten(1, 2).transpose(1, 2), patches.flatten(1, 2))


def _images(weights: Weights, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return patches (L, N, 16, 4) and labels (L, N)."""
    (index,) = batch
    like = weights["head"]
    patches, labels = _patches(like.dtype, like.device)
    rows = patches.index_select(0, index.reshape(-1))
    return rows.view(*index.shape, PATCHES, 4), labels[index]


@kept
def _patches(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    images, labels = digits(dtype, device)
    tiles = images.view(-1, 4, 2, 4, 2).transpose(2, 3)
    return tiles.reshape(-1, PATCHES * 4), labels
