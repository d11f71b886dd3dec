"""Examples that a model of the user's own learns from: tensors with one row an example."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from proxy_tasks.data.cache import TaskDataError, kept
from proxy_tasks.task import generator

__all__ = ["Examples", "seeded"]

_KINDS: Final = "tensors with one row an example, a Dataset, or a DataLoader"
_ROWS: Final = 1024
"""Items of a Dataset that are collated at once."""


@contextmanager
def seeded(seed: int, purpose: str) -> Iterator[None]:
    """Have torch draw its own random numbers from a seed; afterwards it goes on as before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(seed, purpose).initial_seed())
        yield


@dataclass(frozen=True, eq=False)
class Examples:
    """Tensors (N, ...), one for each thing that an example consists of; two are never equal."""

    parts: tuple[Tensor, ...]

    def __len__(self) -> int:
        """Return the number of examples."""
        return self.parts[0].shape[0]

    @classmethod
    def of(cls, data: Any) -> Examples:
        """Read them all, once: what a Dataset does to its items at random stays as it came out.

        Args:
            data: One tensor or array, several, a Dataset or a DataLoader.

        Raises:
            TaskDataError: It is none of these, has no examples, or they differ in shape.
        """
        if isinstance(data, DataLoader):
            parts = _joined(iter(data))
        elif isinstance(data, Tensor) or hasattr(data, "__array__"):
            parts = (_tensor(data),)
        elif _is_several(data):
            parts = tuple(map(_tensor, data))
        elif hasattr(data, "__getitem__") and hasattr(data, "__len__"):
            starts = range(0, len(data), _ROWS)
            blocks = (range(i, min(i + _ROWS, len(data))) for i in starts)
            parts = _joined(default_collate([data[i] for i in block]) for block in blocks)
        else:
            raise TaskDataError(f"expected {_KINDS}, found {type(data).__name__}")
        sizes = {part.shape[0] if part.dim() else 0 for part in parts}
        if len(sizes) != 1 or 0 in sizes:
            shapes = ", ".join(str(tuple(part.shape)) for part in parts) or "nothing"
            raise TaskDataError(
                f"expected {_KINDS}, found {shapes}: the first dimension counts the examples, "
                "alike in all tensors, and there is at least one"
            )
        return cls(parts)

    def split(self, share: float) -> tuple[Examples, Examples]:
        """Return the examples without a share of them, drawn at random once for all, and that.

        Raises:
            TaskDataError: One of them would be empty.
        """
        count = round(share * len(self))
        if not 0 < count < len(self):
            raise TaskDataError(
                f"expected `validation` to leave examples on both sides, found {share} of "
                f"{len(self)}; give a share between 0 and 1, or data of its own"
            )
        order = torch.randperm(len(self), generator=generator(0, "examples/split"))
        held, rest = order[:count], order[count:]
        return self._rows(rest), self._rows(held)

    def _rows(self, index: Tensor) -> Examples:
        return Examples(tuple(part[index] for part in self.parts))

    def on(self, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """Return the tensors on a device, those of real numbers in a type."""
        return _moved(self, device, dtype)

    def content(self) -> tuple[Tensor, ...]:
        """Return every bit as integers."""
        return tuple(part.contiguous().view(torch.uint8) for part in self.parts)


@kept
def _moved(examples: Examples, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, ...]:
    return tuple(
        part.to(device, dtype if part.is_floating_point() else None) for part in examples.parts
    )


def _is_several(data: Any) -> bool:
    return isinstance(data, Sequence) and all(
        isinstance(part, Tensor) or hasattr(part, "__array__") for part in data
    )


def _tensor(data: Any) -> Tensor:
    tensor = torch.as_tensor(data).detach().cpu()
    return tensor.float() if tensor.dtype is torch.float64 else tensor


def _joined(batches: Iterator[Any]) -> tuple[Tensor, ...]:
    """Return batches one after another."""
    rows: list[tuple[Tensor, ...]] = []
    with seeded(0, "examples/read"):
        for batch in batches:
            if not isinstance(batch, Tensor) and not _is_several(batch):
                raise TaskDataError(
                    f"expected examples of tensors, such as (input, target), found "
                    f"{type(batch).__name__}; return a tuple from the Dataset"
                )
            several = (batch,) if isinstance(batch, Tensor) else batch
            rows.append(tuple(map(_tensor, several)))
    try:
        return tuple(torch.cat(parts) for parts in zip(*rows, strict=True))
    except (RuntimeError, ValueError) as error:
        raise TaskDataError(
            f"expected examples of one shape, but: {error}; pad or crop them to one length"
        ) from None
