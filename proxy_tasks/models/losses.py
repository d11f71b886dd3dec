"""Cross-entropy over lanes, and its gradient."""

from __future__ import annotations

from torch import Tensor

from proxy_tasks.kernels.row_calls import run_rows

__all__ = ["cross_entropy", "cross_entropy_gradient"]


def cross_entropy(logits: Tensor, targets: Tensor, classes: int = 1) -> Tensor:
    """Return each lane's mean cross-entropy in nats, (L,).

    Args:
        logits: Shape (L, classes, N), or (L, N, classes) with ``classes=2``.
        targets: Class indices, shape (L, N).
        classes: The dimension along which the classes lie.
    """
    chosen = logits.log_softmax(classes).gather(classes, targets.unsqueeze(classes))
    return -chosen.mean((1, 2))


def cross_entropy_gradient(logits: Tensor, targets: Tensor, classes: int = 1) -> Tensor:
    """Return the gradient of `cross_entropy` times N with respect to the logits.

    The factor 1/N is left to the matrix products that follow, which scale for free. The logits are
    overwritten where that saves time.
    """
    if classes == logits.dim() - 1 and run_rows("softmax_less_one", logits, logits, targets):
        return logits
    gradient = logits.softmax(classes)
    index = targets.unsqueeze(classes)
    minus_one = gradient.new_full((1,), -1.0).expand(index.shape)
    return gradient.scatter_add_(classes, index, minus_one)
