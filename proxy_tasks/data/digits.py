"""Scikit-learn's bundled handwritten digits: what the tasks on them have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from proxy_tasks.data.cache import kept
from proxy_tasks.kernels.chunks import by_lanes
from proxy_tasks.task import Batch, Task, Weights, generator

__all__ = ["DigitsTask", "digits"]

IMAGES = 1797
TRAINING = 1347


@dataclass(frozen=True)
class DigitsTask(Task):
    """Classify 8 x 8 images of digits. A batch is one tensor: indices (L, N) of images."""

    metric: ClassVar[str] = "validation cross-entropy (nats)"

    steps: int = 80
    batch: int = 64
    """Images a step."""

    @property
    def floor(self) -> float:
        """Unknown, hence 0."""
        return 0.0

    def content(self) -> tuple[Tensor, ...]:
        """Return the images, in millionths, and their labels."""
        images, labels = digits(torch.float64, torch.device("cpu"))
        return (images * 1e6).round().long(), labels

    def draw(self, seed: int) -> Batch:
        """Return indices (steps, batch) of training images, drawn with replacement."""
        random = generator(seed, f"{self.family}/draw")
        return (torch.randint(TRAINING, (self.steps, self.batch), generator=random),)

    def validation(self, seed: int) -> Batch:  # noqa: ARG002 - the same images for every seed
        """Return the indices (450,) of all validation images."""
        return (torch.arange(TRAINING, IMAGES),)

    def evaluate(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the cross-entropy on the validation images."""
        return by_lanes(self.loss, weights, batch, lanes=16)


@kept
def digits(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the images in a fixed random order: 1347 for training, then 450 for validation.

    Returns:
        Images (1797, 64), standardised with the training images' mean and deviation, and labels
        (1797,) in 0..9, as int64. See
        https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits.
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = torch.randperm(IMAGES, generator=generator(0, "digits/order"))
    images = torch.from_numpy(pixels).double()[order]
    training = images[:TRAINING]
    images = (images - training.mean()) / training.std()
    return images.to(device, dtype), torch.from_numpy(labels).long()[order].to(device)
