"""Looking up rows of a table in lanes, and the gradient of doing so."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["embed", "embed_backward", "rows_of"]


def rows_of(index: Tensor, vocabulary: int) -> Tensor:
    """Return the rows (M,) that indices (L, ...) mean in all lanes' tables, one under another."""
    lanes = torch.arange(index.shape[0], device=index.device)
    first = lanes.view(-1, *[1] * (index.dim() - 1)) * vocabulary
    return (index + first).view(-1)


def embed(table: Tensor, rows: Tensor) -> Tensor:
    """Return the rows (M, width) of tables (L, vocabulary, width)."""
    if table.is_cuda:  # index_select takes a block of threads for each row there
        lane = rows // table.shape[1]
        return table[lane, rows - lane * table.shape[1]]
    return table.reshape(-1, table.shape[-1]).index_select(0, rows)


def embed_backward(delta: Tensor, rows: Tensor, out: Tensor) -> None:
    """Write the tables' gradient into `out`, given the gradient `delta` in what `embed` returned.

    Rows are added in their order, so the sums do not depend on the other lanes.
    """
    count = out.shape[0] * out.shape[1]
    if delta.is_cuda:  # index_add_ adds in no fixed order there
        total = torch.ops.aten.embedding_dense_backward(delta, rows, count, -1, False)
    else:
        total = delta.new_zeros(count, out.shape[2]).index_add_(0, rows, delta)
    out.copy_(total.view(out.shape))
