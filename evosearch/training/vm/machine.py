"""Updates by the register machine: what an elementwise rule's function computes, in one call."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import torch
from torch import Tensor

from evosearch.training.vm.assemble import Assembly
from proxy_tasks.kernels.abi import PART, WIDTH
from proxy_tasks.kernels.dispatch import own_tile
from proxy_tasks.kernels.jit import compile_function

__all__ = ["Machine", "compile_kernel"]

_HEADER: Final = "7q"
"""`struct` format of what the kernel's argument begins with: rows, columns, streams, numbers,
registers, instructions, address of scratch. It is followed, all 8 bytes long, by each stream's
address and stride over rows, by each instruction's number, target and three operands, and by the
numbers, as float32 of 4 bytes."""


class Machine:
    """The machine with a rule and the tensors that it works on."""

    def __init__(
        self, assembly: Assembly, w: Tensor, g: Tensor, states: Sequence[Tensor], strides: list[int]
    ) -> None:
        self._assembly = assembly
        own = assembly.number_count + assembly.registers
        # An address a slot (8 bytes, two floats), some floats to align what follows, then a part
        # of a vector for each number and register.
        self._scratch = w.new_empty(2 * (assembly.streams + own) + WIDTH + PART * own)
        rows, columns = (1, w.numel()) if not any(strides) else w.shape
        # The argument is packed once, with the tensors' addresses in it. They must not move: the
        # machine keeps them here, and states are only ever overwritten in place.
        self._streams = streams = [w, g, *states, torch.empty(w.shape, dtype=w.dtype)]
        words = [
            *(rows, columns, assembly.streams, assembly.number_count, assembly.registers),
            *(len(assembly.instructions), self._scratch.data_ptr()),
        ]
        for stream, stride in zip(streams, strides, strict=True):
            words += [stream.data_ptr(), stride]
        body = [word for instruction in assembly.instructions for word in instruction]
        self._words = struct.pack(f"<{_HEADER}{2 * len(streams) + len(body)}q", *words, *body)
        self._numbers = struct.Struct(f"<{assembly.number_count}f")

    @classmethod
    def bind(
        cls, assembly: Assembly, w: Tensor, g: Tensor, states: Sequence[Tensor]
    ) -> Machine | None:
        """Return the machine for a rule over one block of weights.

        None where it cannot run: on another device, for another dtype than float32, or where rows
        do not lie in one piece.

        Args:
            assembly: The rule.
            w: Weights, which are only read.
            g: Gradients of that shape, which are only read.
            states: Of that shape; overwritten at each step.
        """
        if own_tile(w, g, *states) is None:
            return None
        strides = _strides([w, g, *states])
        return None if strides is None else cls(assembly, w, g, states, strides)

    def __call__(self, t: float) -> Tensor:
        """Update the states and return the update of step `t`, which is only to be read.

        It may be the gradient or a state; the next step overwrites it.

        Raises:
            ArithmeticError: A number of the rule overflows or is divided by 0.
        """
        numbers = self._numbers.pack(*self._assembly.numbers(t))
        _kernel()(self._words + numbers)
        return self._streams[self._assembly.update]


def _strides(tensors: Sequence[Tensor]) -> list[int] | None:
    """Return each tensor's stride over rows, and the update's; 0 where all lie in one piece."""
    shape = tensors[0].shape
    if any(x.shape != shape for x in tensors):
        return None
    if all(x.is_contiguous() for x in tensors):
        return [0] * (len(tensors) + 1)
    if len(shape) != 2 or any(x.stride(1) != 1 for x in tensors):
        return None
    return [*(x.stride(0) for x in tensors), shape[1]]


def compile_kernel() -> None:
    """Compile the machine, which otherwise its first step does."""
    _kernel()


@cache
def _kernel() -> Callable[[bytes], Any]:
    from proxy_tasks.kernels.vm_kernel import machine  # it needs llvmlite

    return compile_function(machine("machine"), "machine")
