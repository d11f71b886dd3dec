"""Where a model's parameters lie in a flat buffer, so that one call can update many of them.

A buffer is (L, P): one row per lane. Hidden matrices come first, matrices of one shape side by
side, then everything else. Hence the hidden matrices are one slice, the rest is another, and all
matrices of one shape in all lanes are one strided view (L, k, m, n).

Every parameter starts at a multiple of 64 bytes and every row is a multiple of 64 bytes long, so
that a lane's products see the same alignment wherever the lane lies; the gaps hold zeros that no
model reads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from primitives.shape import Shape
from proxy_tasks.task import Parameter, Role, Task

__all__ = ["Layout", "Region", "Stack"]

ALIGNMENT = 16
"""Entries that every parameter's offset is a multiple of: 64 bytes of float32."""


@dataclass(frozen=True)
class Stack:
    """Parameters of one shape that lie side by side: a view (L, count, rows, cols)."""

    start: int
    count: int
    rows: int
    cols: int

    @property
    def stride(self) -> int:
        """Entries from one matrix to the next."""
        return _aligned(self.rows * self.cols)

    @property
    def stop(self) -> int:
        """The first entry after the stack."""
        return self.start + self.count * self.stride

    def view(self, flat: Tensor) -> Tensor:
        """Return the stack's matrices in a buffer (L, P), without a copy."""
        block = flat[:, self.start : self.stop].unflatten(1, (self.count, self.stride))
        return block[:, :, : self.rows * self.cols].unflatten(2, (self.rows, self.cols))

    def entries(self, shape: Shape) -> int:
        """Return how many entries a value of this symbolic shape has over the whole stack."""
        return self.count * math.prod(shape.sizes(self.rows, self.cols))


@dataclass(frozen=True)
class Region:
    """A run of stacks that one rule updates."""

    start: int
    stop: int
    stacks: tuple[Stack, ...]

    @property
    def size(self) -> int:
        """Entries of the region's slice, gaps included."""
        return self.stop - self.start

    @property
    def numel(self) -> int:
        """Entries that belong to parameters."""
        return sum(s.count * s.rows * s.cols for s in self.stacks)

    def slice(self, flat: Tensor) -> Tensor:
        """Return the region's columns of a buffer (L, P), without a copy."""
        return flat[:, self.start : self.stop]


@dataclass(frozen=True)
class Layout:
    """The order of a model's parameters in a flat buffer."""

    matrix: Region
    """Hidden matrices, each folded to (first dimension, the others)."""
    rest: Region
    """All other parameters; a vector of k entries is a (1, k) matrix."""
    parameters: tuple[Parameter, ...]
    """All parameters in the task's order."""
    offsets: tuple[int, ...]
    """The column where each parameter starts."""

    @classmethod
    def of(cls, task: Task) -> Layout:
        """Lay out a task's parameters."""
        offsets: dict[str, int] = {}
        hidden = [p for p in task.parameters if p.role is Role.HIDDEN]
        others = [p for p in task.parameters if p.role is not Role.HIDDEN]
        matrix = _place(hidden, 0, offsets)
        rest = _place(others, matrix.stop, offsets)
        ordered = tuple(offsets[p.name] for p in task.parameters)
        return cls(matrix, rest, task.parameters, ordered)

    @property
    def size(self) -> int:
        """Columns of a buffer."""
        return self.rest.stop

    @cached_property
    def regions(self) -> tuple[Region, Region]:
        """Both regions, in the order of the buffer."""
        return self.matrix, self.rest

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """Return each parameter's (L, *shape) view of a buffer (L, P), in the task's order."""
        return {
            p.name: flat[:, start : start + p.numel].view(flat.shape[0], *p.shape)
            for p, start in zip(self.parameters, self.offsets, strict=True)
        }


def _place(parameters: Iterable[Parameter], start: int, offsets: dict[str, int]) -> Region:
    """Place parameters from column `start` on, those of one matrix shape side by side."""
    groups: dict[tuple[int, int], list[Parameter]] = {}
    for p in parameters:
        groups.setdefault(_fold(p.shape), []).append(p)
    stacks: list[Stack] = []
    column = start
    for (rows, cols), members in groups.items():
        stack = Stack(column, len(members), rows, cols)
        for i, p in enumerate(members):
            offsets[p.name] = column + i * stack.stride
        stacks.append(stack)
        column = stack.stop
    return Region(start, column, tuple(stacks))


def _fold(shape: tuple[int, ...]) -> tuple[int, int]:
    return (1, math.prod(shape)) if len(shape) < 2 else (shape[0], math.prod(shape[1:]))


def _aligned(entries: int) -> int:
    return -(-entries // ALIGNMENT) * ALIGNMENT
