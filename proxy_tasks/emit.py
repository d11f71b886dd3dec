"""Loops, addresses and vectors in LLVM's intermediate representation, for kernels of our own.

A thin layer over llvmlite's builder: what a kernel says with it reads like the loops that it means.
Pointers are to float32, offsets and counts are 64-bit integers, and vectors have one width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

__all__ = ["FLOAT", "INTEGER", "POINTER", "Code", "Loop", "Value"]

Value = Any
"""A value of the program that is being written; llvmlite has no types for them."""

INTEGER = ir.IntType(64)
FLOAT = ir.FloatType()
POINTER = ir.PointerType()

_INDEX = ir.IntType(32)
_EXP = (
    1.9875691500e-4,
    1.3981999507e-3,
    8.3334519073e-3,
    4.1665795894e-2,
    1.6666665459e-1,
    5.0000001201e-1,
)


@dataclass
class Loop:
    """A loop that is being written."""

    index: Value
    """Counts up."""
    carried: list[Value]
    """Values that one iteration hands to the next; after the loop, those of the last one."""
    following: list[Value]
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
        self.argument: Value = function.args[0]
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        self.width = width
        self.vector = ir.VectorType(FLOAT, width)

    def text(self) -> str:
        """Return the finished function as text."""
        self.builder.ret_void()
        return str(self.module)

    def fields(self, record: Value, types: Sequence[Value]) -> list[Value]:
        """Read a record's fields: 4 bytes for a FLOAT, 8 for what else there is."""
        b, values, offset = self.builder, [], 0
        for kind in types:
            place = self.at(record, self.whole(offset))
            values.append(b.load(place, typ=kind, align=4))
            offset += 1 if kind == FLOAT else 2
        return values

    def whole(self, number: int) -> Value:
        """Return an integer constant."""
        return ir.Constant(INTEGER, number)

    def zero(self, like: Value) -> Value:
        """Return 0 of the type of a value."""
        return ir.Constant(like.type, [0.0] * self.width if like.type == self.vector else 0.0)

    def one(self, like: Value) -> Value:
        """Return 1 of the type of a value."""
        return ir.Constant(like.type, [1.0] * self.width if like.type == self.vector else 1.0)

    def zeros(self) -> Value:
        """Return a vector of zeros."""
        return ir.Constant(self.vector, [0.0] * self.width)

    @contextmanager
    def loop(self, stop: Value, step: int = 1, carried: Sequence[Value] = ()) -> Iterator[Loop]:
        """Write ``for index in range(0, stop, step)``."""
        b = self.builder
        before = b.block
        head, body, after = (b.append_basic_block(part) for part in ("head", "body", "after"))
        b.branch(head)
        b.position_at_end(head)
        index = b.phi(INTEGER)
        index.add_incoming(self.whole(0), before)
        phis = [b.phi(value.type) for value in carried]
        for phi, value in zip(phis, carried, strict=True):
            phi.add_incoming(value, before)
        b.cbranch(b.icmp_signed("<", index, stop), body, after)
        b.position_at_end(body)
        loop = Loop(index, phis, list(phis))
        yield loop
        index.add_incoming(b.add(index, self.whole(step)), b.block)
        for phi, value in zip(phis, loop.following, strict=True):
            phi.add_incoming(value, b.block)
        b.branch(head)
        b.position_at_end(after)

    @contextmanager
    def cases(self, number: Value, count: int) -> Iterator[Iterator[int]]:
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

    def at(self, pointer: Value, *offsets: Value) -> Value:
        """Return a pointer so many floats further."""
        total = offsets[0]
        for offset in offsets[1:]:
            total = self.builder.add(total, offset)
        return self.builder.gep(pointer, [total], source_etype=FLOAT)

    def read(self, pointer: Value) -> Value:
        """Load a float."""
        return self.builder.load(pointer, typ=FLOAT, align=4)

    def read_whole(self, pointer: Value, index: Value) -> Value:
        """Load the integer of 8 bytes that so many others precede."""
        place = self.builder.gep(pointer, [index], source_etype=INTEGER)
        return self.builder.load(place, typ=INTEGER, align=8)

    def read_vector(self, pointer: Value) -> Value:
        """Load a vector, which need not be aligned."""
        return self.builder.load(pointer, typ=self.vector, align=4)

    def write(self, value: Value, pointer: Value) -> None:
        """Store a float or a vector."""
        self.builder.store(value, pointer, align=4)

    def spread(self, number: Value) -> Value:
        """Return a vector whose entries are one float."""
        b, unset = self.builder, ir.Constant(self.vector, ir.Undefined)
        first = b.insert_element(unset, number, ir.Constant(_INDEX, 0))
        return b.shuffle_vector(first, unset, self._order([0] * self.width))

    def multiply_add(self, x: Value, y: Value, z: Value) -> Value:
        """Return x y + z, rounded once."""
        return self.builder.call(self._function("llvm.fma", z.type, 3), [x, y, z])

    def fold(self, vector: Value, join: Callable[[Value, Value], Value]) -> Value:
        """Return one float: the halves of a vector joined, and so on."""
        size, unset = self.width, ir.Constant(self.vector, ir.Undefined)
        while size > 1:
            size //= 2
            order = [*range(size, 2 * size), *[0] * (self.width - size)]
            vector = join(vector, self.builder.shuffle_vector(vector, unset, self._order(order)))
        return self.builder.extract_element(vector, ir.Constant(_INDEX, 0))

    def filled(self, number: float) -> Value:
        """Return a vector of one constant."""
        return ir.Constant(self.vector, [number] * self.width)

    def root(self, x: Value) -> Value:
        """Return the square root of a float or of a vector."""
        return self.builder.call(self._function("llvm.sqrt", x.type, 1), [x])

    def absolute(self, x: Value) -> Value:
        """Return |x| of a float or of a vector."""
        return self.builder.call(self._function("llvm.fabs", x.type, 1), [x])

    def exp(self, x: Value) -> Value:
        """Return e^x of a vector of numbers that are not above 0, to 1e-7 of it; 0 below e^-87.

        By Cephes' expf: x = n log 2 + r with a whole n and |r| < log(2) / 2, a polynomial for e^r,
        and n added to the exponent (https://www.netlib.org/cephes/).
        """
        b, whole = self.builder, ir.VectorType(_INDEX, self.width)
        rounder = self.filled(1.5 * 2.0**23)  # added to a small number it leaves the last bits to n
        shifted = self.multiply_add(x, self.filled(1.4426950408889634), rounder)
        n = b.fsub(shifted, rounder)
        r = self.multiply_add(n, self.filled(-0.693359375), x)
        r = self.multiply_add(n, self.filled(2.12194440e-4), r)
        series = self.filled(_EXP[0])
        for coefficient in _EXP[1:]:
            series = self.multiply_add(series, r, self.filled(coefficient))
        power = self.multiply_add(series, b.fmul(r, r), b.fadd(r, self.filled(1.0)))
        exponent = b.shl(b.bitcast(shifted, whole), ir.Constant(whole, [23] * self.width))
        power = b.bitcast(b.add(b.bitcast(power, whole), exponent), self.vector)
        tiny = b.fcmp_ordered("<", x, self.filled(-87.0))
        power = b.select(tiny, self.filled(0.0), power)
        return b.select(b.fcmp_unordered("!=", x, x), x, power)

    def transposed(self, rows: Sequence[Value]) -> list[Value]:
        """Return the columns of a square block of vectors.

        Each of log2(width) rounds interleaves row i of the upper half with row i of the lower.
        """
        half, rows = self.width // 2, list(rows)
        orders = [
            self._order(
                [at + side for at in range(start, start + half) for side in (0, self.width)]
            )
            for start in (0, half)
        ]
        for _ in range(self.width.bit_length() - 1):
            rows = [
                self.builder.shuffle_vector(rows[i], rows[i + half], order)
                for i in range(half)
                for order in orders
            ]
        return rows

    def _function(self, name: str, kind: Value, arguments: int) -> Value:
        """Return one of LLVM's own functions of values of one type."""
        name += ".f32" if kind == FLOAT else f".v{self.width}f32"
        known = self.module.globals.get(name)
        return known or ir.Function(self.module, ir.FunctionType(kind, [kind] * arguments), name)

    def _order(self, indices: Sequence[int]) -> Value:
        return ir.Constant(ir.VectorType(_INDEX, self.width), list(indices))
