"""Loops, addresses and vectors in LLVM's intermediate representation, for kernels of our own.

A thin layer over llvmlite's builder: what a kernel says with it reads like the loops that it means.
Pointers are to float32, offsets and counts are 64-bit integers, and vectors have one width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

__all__ = ["FLOAT", "INTEGER", "POINTER", "Code", "Loop", "SsaValue"]

SsaValue = Any
"""A value of the program that is being written; llvmlite has no types for them."""

INTEGER = ir.IntType(64)
FLOAT = ir.FloatType()
POINTER = ir.PointerType()

_INDEX = ir.IntType(32)  # the only integers that the order of a shuffle may be given in


@dataclass
class Loop:
    """A loop that is being written."""

    index: SsaValue
    """Counts up."""
    carried: list[SsaValue]
    """Values that one iteration hands to the next; after the loop, those of the last one."""
    following: list[SsaValue]
    """What the body sets them to."""


class Code:
    """Writes one function ``void name(pointer)``."""

    def __init__(self, name: str, width: int) -> None:
        """Begin a function.

        Args:
            name: Of the function.
            width: Floats in a vector.
        """
        self.module = ir.Module(name)
        function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), [POINTER]), name)
        self.argument: SsaValue = function.args[0]
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        self.width = width
        self.vector = ir.VectorType(FLOAT, width)

    def text(self) -> str:
        """Return the finished function as text."""
        self.builder.ret_void()
        return str(self.module)

    def fields(self, record: SsaValue, types: Sequence[SsaValue]) -> list[SsaValue]:
        """Read a record's fields: 4 bytes for a FLOAT, 8 for what else there is."""
        b, values, offset = self.builder, [], 0
        for kind in types:
            place = self.at(record, self.whole(offset))
            # Python's bytes begin anywhere, and a record with one float in it ends between words.
            values.append(b.load(place, typ=kind, align=4))
            offset += 1 if kind == FLOAT else 2
        return values

    def whole(self, number: int) -> SsaValue:
        """Return an integer constant."""
        return ir.Constant(INTEGER, number)

    def zero(self, like: SsaValue) -> SsaValue:
        """Return 0 of the type of a value."""
        return ir.Constant(like.type, [0.0] * self.width if like.type == self.vector else 0.0)

    def one(self, like: SsaValue) -> SsaValue:
        """Return 1 of the type of a value."""
        return ir.Constant(like.type, [1.0] * self.width if like.type == self.vector else 1.0)

    def not_a_number(self, like: SsaValue) -> SsaValue:
        """Return a NaN of the type of a float."""
        return ir.Constant(like.type, float("nan"))

    @contextmanager
    def loop(
        self, stop: SsaValue, step: int = 1, carried: Sequence[SsaValue] = ()
    ) -> Iterator[Loop]:
        """Write ``for index in range(0, stop, step)``."""
        b = self.builder
        before = b.block
        head, body, after = (b.append_basic_block(part) for part in ("head", "body", "after"))
        b.branch(head)
        b.position_at_end(head)
        # Values are never assigned to in this representation. A variable of a loop is a phi: its
        # value comes from before the loop or from the last iteration, whichever was run last.
        index = b.phi(INTEGER)
        index.add_incoming(self.whole(0), before)
        phis = [b.phi(value.type) for value in carried]
        for phi, value in zip(phis, carried, strict=True):
            phi.add_incoming(value, before)
        b.cbranch(b.icmp_signed("<", index, stop), body, after)
        b.position_at_end(body)
        loop = Loop(index, phis, list(phis))
        yield loop
        # b.block is not `body` any more where the body has loops or branches of its own.
        index.add_incoming(b.add(index, self.whole(step)), b.block)
        for phi, value in zip(phis, loop.following, strict=True):
            phi.add_incoming(value, b.block)
        b.branch(head)
        b.position_at_end(after)

    @contextmanager
    def cases(self, number: SsaValue, count: int) -> Iterator[Iterator[int]]:
        """Write ``match number`` for 0 to count - 1; each case is written while it is iterated."""
        b = self.builder
        after = b.append_basic_block("matched")
        switch = b.switch(number, after)

        def write() -> Iterator[int]:
            for case in range(count):
                block = b.append_basic_block(f"case{case}")
                switch.add_case(self.whole(case), block)
                b.position_at_end(block)
                yield case
                b.branch(after)
            b.position_at_end(after)

        yield write()

    def at(self, pointer: SsaValue, *offsets: SsaValue) -> SsaValue:
        """Return a pointer so many floats further."""
        total = offsets[0]
        for offset in offsets[1:]:
            total = self.builder.add(total, offset)
        return self.builder.gep(pointer, [total], source_etype=FLOAT)

    def read(self, pointer: SsaValue) -> SsaValue:
        """Load a float."""
        return self.builder.load(pointer, typ=FLOAT, align=4)

    def read_whole(self, pointer: SsaValue, index: SsaValue) -> SsaValue:
        """Load the integer of 8 bytes that so many others precede."""
        place = self.builder.gep(pointer, [index], source_etype=INTEGER)
        return self.builder.load(place, typ=INTEGER, align=8)

    def read_vector(self, pointer: SsaValue) -> SsaValue:
        """Load a vector, which need not be aligned."""
        return self.builder.load(pointer, typ=self.vector, align=4)

    def write(self, value: SsaValue, pointer: SsaValue) -> None:
        """Store a float or a vector."""
        self.builder.store(value, pointer, align=4)

    def spread(self, number: SsaValue) -> SsaValue:
        """Return a vector whose entries are one float."""
        b, unset = self.builder, ir.Constant(self.vector, ir.Undefined)
        first = b.insert_element(unset, number, ir.Constant(_INDEX, 0))
        return self.chosen(first, unset, [0] * self.width)

    def multiply_add(self, x: SsaValue, y: SsaValue, z: SsaValue) -> SsaValue:
        """Return x y + z, rounded once."""
        return self.builder.call(self._function("llvm.fma", z.type, 3), [x, y, z])

    def first(self, vector: SsaValue) -> SsaValue:
        """Return a vector's first float."""
        return self.builder.extract_element(vector, ir.Constant(_INDEX, 0))

    def chosen(self, x: SsaValue, y: SsaValue, indices: Sequence[int]) -> SsaValue:
        """Return a vector of entries of two, those of the second counted on from the first's."""
        order = ir.Constant(ir.VectorType(_INDEX, self.width), list(indices))
        return self.builder.shuffle_vector(x, y, order)

    def bits(self, vector: SsaValue) -> SsaValue:
        """Return the bits of floats as integers of 4 bytes."""
        return self.builder.bitcast(vector, ir.VectorType(_INDEX, self.width))

    def filled_bits(self, number: int) -> SsaValue:
        """Return a vector of one integer of 4 bytes."""
        return ir.Constant(ir.VectorType(_INDEX, self.width), [number] * self.width)

    def filled(self, number: float) -> SsaValue:
        """Return a vector of one constant."""
        return ir.Constant(self.vector, [number] * self.width)

    def root(self, x: SsaValue) -> SsaValue:
        """Return the square root of a float or of a vector."""
        return self.builder.call(self._function("llvm.sqrt", x.type, 1), [x])

    def absolute(self, x: SsaValue) -> SsaValue:
        """Return |x| of a float or of a vector."""
        return self.builder.call(self._function("llvm.fabs", x.type, 1), [x])

    def _function(self, name: str, kind: SsaValue, arguments: int) -> SsaValue:
        """Return one of LLVM's own functions of values of one type."""
        name += ".f32" if kind == FLOAT else f".v{self.width}f32"
        known = self.module.globals.get(name)
        return known or ir.Function(self.module, ir.FunctionType(kind, [kind] * arguments), name)
