"""Scikit-learn's bundled tables: rows of numbers and what to predict of each."""

from __future__ import annotations

import torch
from torch import Tensor

from proxy_tasks.data.cache import TaskDataError, kept
from proxy_tasks.task import generator

__all__ = ["CLASSES", "ROWS", "table"]

CLASSES = {"diabetes": 0, "breast_cancer": 2, "wine": 3}
"""Tables by name, with the number of classes; 0: a number is predicted."""
ROWS = {"diabetes": (442, 10), "breast_cancer": (569, 30), "wine": (178, 13)}
"""Their rows and columns."""
_VALIDATION = 0.25


@kept
def table(name: str, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, int]:
    """Return a table in a fixed random order.

    Returns:
        Columns (rows, columns), standardised by the training rows; targets (rows,), class indices
        as int64 or numbers standardised alike; and how many rows are for training, the first ones.
        See https://scikit-learn.org/stable/datasets/toy_dataset.html.

    Raises:
        TaskDataError: There is no such table.
    """
    from sklearn import datasets

    if name not in CLASSES:
        raise TaskDataError(f"expected a table among {', '.join(CLASSES)}, found {name!r}")
    columns, targets = getattr(datasets, f"load_{name}")(return_X_y=True)
    order = torch.randperm(len(columns), generator=generator(0, f"table/{name}"))
    x = torch.from_numpy(columns).double()[order]
    y = torch.from_numpy(targets).double()[order]
    training = int(len(x) * (1 - _VALIDATION))
    x = (x - x[:training].mean(0)) / x[:training].std(0)
    if CLASSES[name]:
        return x.to(device, dtype), y.long().to(device), training
    y = (y - y[:training].mean()) / y[:training].std()
    return x.to(device, dtype), y.to(device, dtype), training
