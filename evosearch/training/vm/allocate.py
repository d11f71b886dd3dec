"""Slots of the register machine: where each result of a rule is kept while it is needed."""

from __future__ import annotations

from typing import Final, NamedTuple

from proxy_tasks.kernels.vm_instructions import INSTRUCTIONS

__all__ = ["Instruction", "Slot", "allocate"]

_NUMBERS: Final = {name: number for number, name in enumerate(INSTRUCTIONS)}


class Instruction(NamedTuple):
    """``slot[target] = name(slot[x], slot[y], slot[z])``, entry by entry."""

    number: int
    """Of its name, see `INSTRUCTIONS`."""
    target: int
    x: int
    y: int
    z: int


class Slot(NamedTuple):
    """Where a vector is."""

    kind: str
    """"stream", "number" or "result"."""
    place: int
    """Among its kind."""


def allocate(
    code: list[tuple[str, tuple[Slot, ...]]],
    targets: dict[int, int],
    places: dict[Slot, int],
    first: int,
) -> tuple[tuple[Instruction, ...], int]:
    """Give every result a slot, one that is not needed again where there is one.

    Args:
        code: What to compute, one result each.
        targets: Results that go to streams.
        places: Slots of streams and numbers.
        first: The first slot that is free.

    Returns:
        The instructions, and how many slots they use from the first on.
    """
    last = {slot: i for i, (_, operands) in enumerate(code) for slot in operands}
    free: list[int] = []
    used = 0
    instructions: list[Instruction] = []
    for i, (name, operands) in enumerate(code):
        # An instruction has three operands; those beyond its arity name slot 0 and are not read.
        x, y, z, *_ = *(places[slot] for slot in operands), 0, 0, 0
        # Freed before the result is placed: a result may take the slot of its own operand, since
        # each of its entries is written after the same entry of the operands was read.
        free += [
            places[slot] for slot in set(operands) if last[slot] == i and places[slot] >= first
        ]
        result = Slot("result", i)
        if i in targets:
            places[result] = targets[i]
        elif free:
            places[result] = free.pop()
        else:
            places[result] = first + used
            used += 1
        instructions.append(Instruction(_NUMBERS[name], places[result], x, y, z))
    return tuple(instructions), used
