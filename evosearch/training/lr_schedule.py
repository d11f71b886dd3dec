"""What depends on the number of the step, as numbers or as tensors.

Numbers are quicker to compute with on a CPU. On a GPU steps are recorded once and repeated, and a
number would be repeated with them; there the clock is a few tensors on the device, which it sets
forward itself.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

__all__ = ["Clock", "DeviceClock", "HostClock"]


class Clock(Protocol):
    """The step that is being done; before the first tick there is none."""

    @property
    def t(self) -> float | Tensor:
        """Number of the step, from 1."""
        ...

    @property
    def decay(self) -> float | Tensor:
        """What learning rates are multiplied by: 1 at the first step, falling linearly to 0."""
        ...

    def tick(self) -> None:
        """Begin the next step."""
        ...

    def at(self, data: Tensor) -> Tensor:
        """Return this step's part of data (steps, ...)."""
        ...


class HostClock:
    """Numbers in Python."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self.t = 0.0
        self.decay = 1.0

    def tick(self) -> None:
        """Begin the next step."""
        self.decay = 1 - self.t / self._steps
        self.t += 1.0

    def at(self, data: Tensor) -> Tensor:
        """Return this step's part of data (steps, ...)."""
        return data[int(self.t) - 1]


class DeviceClock:
    """Tensors without dimensions, always the same ones."""

    def __init__(self, steps: int, device: torch.device) -> None:
        self._steps = steps
        self.t = torch.zeros((), dtype=torch.float64, device=device)
        self.decay = torch.ones((), dtype=torch.float64, device=device)
        self._row = torch.full((1,), -1, device=device)

    def tick(self) -> None:
        """Begin the next step."""
        self.decay.copy_(1 - self.t / self._steps)
        self.t.add_(1)
        self._row.add_(1)

    def at(self, data: Tensor) -> Tensor:
        """Return this step's part of data (steps, ...)."""
        return data.index_select(0, self._row)[0]
