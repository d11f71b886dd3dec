"""Reading data from files: the error that says what is wrong, and scikit-learn's bundled digits."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from proxy_tasks.task import generator

__all__ = ["DIGITS_TRAINING", "DataError", "digits", "folder"]

DIGITS_TRAINING = 1347
"""The number of training images; the other 450 of the 1797 are the validation set."""


class DataError(ValueError):
    """A data file that is missing or malformed: what was expected, what was found, what to do."""


def folder(path: str, content: str) -> Path:
    """Return the folder a task reads from.

    Args:
        path: What the user gave, possibly nothing.
        content: What belongs in it, for the error message.

    Raises:
        DataError: There is no such folder.
    """
    if not path:
        raise DataError(f"expected a folder with {content}, found no path; set the task's `path`")
    root = Path(path).expanduser()
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise DataError(
            f"expected a folder with {content} at {root}, found {found}; correct `path`"
        )
    return root


@lru_cache(maxsize=8)
def digits(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return scikit-learn's handwritten digits in a fixed random order, the training images first.

    Returns:
        Images (1797, 64), standardised with the training images' mean and deviation, and labels
        (1797,) in 0..9, as int64. See https://archive.ics.uci.edu/dataset/80.
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels), generator=generator(0, "digits/order"))
    images = torch.from_numpy(pixels).double()[order]
    training = images[:DIGITS_TRAINING]
    images = (images - training.mean()) / training.std()
    return images.to(device, dtype), torch.from_numpy(labels).long()[order].to(device)
