"""Transformer blocks in lanes, with their backward pass written out.

Pre-norm residual blocks: multi-head attention, then a ReLU layer of four times the width; no
biases, and norms without gains. Written out, the backward pass keeps its elementwise work to one
pass over each activation, which on a CPU is most of what autograd adds to the matrix products.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from proxy_tasks.data.cache import kept
from proxy_tasks.kernels.attention_rows import softmax_, softmax_backward_
from proxy_tasks.kernels.matmul import baddbmm, bmm, bmm_gated, bmm_into, bmm_joined, linear
from proxy_tasks.models.norm import rms_norm, rms_norm_backward, rms_norm_forward
from proxy_tasks.task import Parameter, Role, Weights

__all__ = ["Transformer"]


@dataclass(frozen=True)
class _Tape:
    """What one block's backward pass needs of its forward pass; tokens are flattened to N = B T."""

    joined: Tensor  # weights of queries, keys and values (L, 3 d, d)
    normed: Tensor  # input of attention (L, N, d)
    inverse: Tensor
    qkv: Tensor  # (L B, T, 3 d)
    attention: Tensor  # (heads, L B, T, T)
    mixed: Tensor  # input of the output projection (L, N, d)
    normed_up: Tensor  # input of the wide layer (L, N, d)
    inverse_up: Tensor
    hidden: Tensor  # its output (L, N, 4 d)


@dataclass(frozen=True)
class Transformer:
    """A stack of blocks over sequences (L, B, T, width)."""

    width: int
    depth: int
    heads: int
    causal: bool

    def __post_init__(self) -> None:
        """Check that the heads share the width evenly.

        Raises:
            ValueError: They do not.
        """
        if self.width % self.heads:
            raise ValueError(
                f"expected width to be a multiple of heads, found {self.width} and {self.heads}"
            )

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Six hidden matrices a block, each (out, in) as in torch.nn.Linear."""
        d = self.width
        shapes = dict.fromkeys(("query", "key", "value", "project"), (d, d))
        shapes |= {"up": (4 * d, d), "down": (d, 4 * d)}
        return tuple(
            Parameter(f"block{i}.{name}", shape, Role.HIDDEN)
            for i in range(self.depth)
            for name, shape in shapes.items()
        )

    def flops(self, tokens: int, context: int) -> float:
        """Return the operations in matrix products, forward and backward (attention unmasked)."""
        return 6.0 * tokens * self.depth * (12 * self.width**2 + 2 * context * self.width)

    def activation_bytes(self, tokens: int, context: int) -> float:
        """Return the bytes of activations and their gradients in one lane's step."""
        kept = self.depth * (11 * self.width + self.heads * context)
        return 4.0 * tokens * (kept + 16 * self.width)

    def initialize(self, random: torch.Generator) -> dict[str, Tensor]:
        """Return normal weights; those that write to the residual stream start smaller."""
        result = {}
        for p in self.parameters:
            residual = p.name.endswith(("project", "down"))
            scale = 1 / math.sqrt(p.shape[1] * (2 * self.depth if residual else 1))
            result[p.name] = torch.randn(p.shape, generator=random) * scale
        return result

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Return the residual stream after all blocks, (L, B, T, width)."""
        lanes, batch, context, d = x.shape
        x = x.reshape(lanes, batch * context, d)
        for i in range(self.depth):
            w = {n: weights[f"block{i}.{n}"].transpose(1, 2) for n in _NAMES}
            normed = rms_norm(x)
            q, k, v = (
                (normed @ w[n]).view(lanes, batch, context, self.heads, -1).transpose(2, 3)
                for n in ("query", "key", "value")
            )
            mask = _mask(context, x.dtype, x.device, causal=self.causal)
            scores = q @ k.transpose(-1, -2) / math.sqrt(d // self.heads) + mask
            mixed = (scores.softmax(-1) @ v).transpose(2, 3).reshape(x.shape)
            x = x + mixed @ w["project"]
            normed = rms_norm(x)
            x = x + (normed @ w["up"]).relu() @ w["down"]
        return x.view(lanes, batch, context, d)

    def forward(self, weights: Weights, x: Tensor) -> tuple[Tensor, list[_Tape]]:
        """Return what calling the model does, and what `backward` needs; overwrites `x`."""
        lanes, batch, context, d = x.shape
        x = x.view(lanes, batch * context, d)
        mask = _mask(context, x.dtype, x.device, causal=self.causal)
        size = d // self.heads
        tapes = []
        for i in range(self.depth):
            normed, inverse = rms_norm_forward(x)
            joined = torch.cat([weights[f"block{i}.{name}"] for name in _NAMES[:3]], 1)
            qkv = bmm(normed, joined.transpose(1, 2))
            qkv = qkv.view(lanes * batch, context, 3 * d)
            scores = x.new_empty(self.heads, lanes * batch, context, context)
            for h, (q, k, _) in enumerate(self._split(qkv)):
                baddbmm(mask, q, k.transpose(1, 2), alpha=size**-0.5, out=scores[h])
            attention = softmax_(scores)
            heads = [(attention[h], v, 1.0) for h, (_, _, v) in enumerate(self._split(qkv))]
            mixed = bmm_joined(heads).view(x.shape)
            baddbmm(x, mixed, weights[f"block{i}.project"].transpose(1, 2), out=x)
            normed_up, inverse_up = rms_norm_forward(x)
            hidden = linear(normed_up, weights[f"block{i}.up"].transpose(1, 2), relu=True)
            baddbmm(x, hidden, weights[f"block{i}.down"].transpose(1, 2), out=x)
            tapes.append(
                _Tape(joined, normed, inverse, qkv, attention, mixed, normed_up, inverse_up, hidden)
            )
        return x.view(lanes, batch, context, d), tapes

    def backward(
        self, weights: Weights, tapes: list[_Tape], delta: Tensor, out: Mapping[str, Tensor]
    ) -> Tensor:
        """Write the weights' gradients into `out`.

        Args:
            weights: The lanes' weights.
            tapes: From `forward`.
            delta: Gradient in the result of `forward` (L, B, T, width); overwritten.
            out: Where the gradients go.

        Returns:
            The gradient in the input of `forward`, (L, B, T, width).
        """
        shape, d = delta.shape, self.width
        delta = delta.view(shape[0], -1, d)
        for i in reversed(range(self.depth)):
            tape = tapes[i]

            bmm_into(out[f"block{i}.down"], delta.transpose(1, 2), tape.hidden)
            wide = bmm_gated(delta, weights[f"block{i}.down"], tape.hidden)
            bmm_into(out[f"block{i}.up"], wide.transpose(1, 2), tape.normed_up)
            inner = bmm(wide, weights[f"block{i}.up"])
            rms_norm_backward(inner, tape.normed_up, tape.inverse_up, delta)

            bmm_into(out[f"block{i}.project"], delta.transpose(1, 2), tape.mixed)
            inner = bmm(delta, weights[f"block{i}.project"])
            inner = self._attention_backward(tape, inner)
            merged = bmm(inner.transpose(1, 2), tape.normed)
            for name, part in zip(_NAMES[:3], merged.split(d, 1), strict=True):
                out[f"block{i}.{name}"].copy_(part)
            inner = bmm(inner, tape.joined)
            rms_norm_backward(inner, tape.normed, tape.inverse, delta)
        return delta.view(shape)

    def _attention_backward(self, tape: _Tape, delta: Tensor) -> Tensor:
        """Return the gradient in the queries, keys and values (L, N, 3 d)."""
        size = self.width // self.heads
        delta = delta.view(*tape.qkv.shape[:2], self.width)
        scores = torch.empty_like(tape.attention)
        parts = delta.split(size, -1)
        split = list(self._split(tape.qkv))
        for h, (_, _, v) in enumerate(split):
            bmm(parts[h], v.transpose(1, 2), out=scores[h])
        softmax_backward_(scores, tape.attention)
        scale = size**-0.5
        queries = [(scores[h], k, scale) for h, (_, k, _) in enumerate(split)]
        keys = [(scores[h].transpose(1, 2), q, scale) for h, (q, _, _) in enumerate(split)]
        values = [(tape.attention[h].transpose(1, 2), parts[h], 1.0) for h in range(self.heads)]
        merged = bmm_joined([*queries, *keys, *values])
        return merged.view(*tape.normed.shape[:2], 3 * self.width)

    def _split(self, qkv: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Return views of each head's queries, keys and values (L B, T, width / heads)."""
        q, k, v = (part.chunk(self.heads, -1) for part in qkv.chunk(3, -1))
        return list(zip(q, k, v, strict=True))


_NAMES = ("query", "key", "value", "project", "up", "down")


@kept
def _mask(context: int, dtype: torch.dtype, device: torch.device, *, causal: bool) -> Tensor:
    """Return what is added to scores (context, context): -inf where nothing may be seen."""
    mask = torch.zeros(context, context, dtype=dtype, device=device)
    if causal:
        mask.masked_fill_(torch.ones_like(mask, dtype=torch.bool).triu(1), -torch.inf)
    return mask
