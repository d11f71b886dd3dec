"""Batched products of small matrices, written in LLVM's intermediate representation.

Libraries make products of matrices that fill a cache. Those of a lane are smaller than their
preparations are worth: MKL reaches 70 to 110 GFLOP/s on them where the processor can do 260. Here a
product is a loop over tiles of the result. A tile's accumulators stay in registers while the inner
dimension runs by, one rank-1 update of `rows` x `columns` at a time (Goto and van de Geijn,
https://dl.acm.org/doi/10.1145/1356052.1356053); all of the operands are in the cache anyway.

Every entry of the result is one chain of fused multiplications and additions in the order of the
inner dimension. So it does not depend on the tile, hence on the processor, nor on the lanes beside.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from proxy_tasks.emit import FLOAT, INTEGER, POINTER, Code, Value

__all__ = ["RECORD", "TILES", "Third", "Tile", "product"]

RECORD: Final = "<20q2f"
"""`struct` format of the argument, see `_Product`."""


class Third(Enum):
    """What the third operand C is for."""

    NONE = "none"
    ADDEND = "addend"
    """Is added, times beta; it has an entry for each one of the result."""
    BIAS = "bias"
    """Is added, times beta; it has an entry for each row of the result."""
    GATE = "gate"
    """The result is 0 where C is not above 0; it has an entry for each one of the result."""


@dataclass(frozen=True)
class Tile:
    """What is accumulated in registers at a time."""

    rows: int
    width: int
    """Floats in a vector."""

    @property
    def columns(self) -> int:
        """Two vectors."""
        return 2 * self.width


TILES: Final = {"avx512f": Tile(8, 16), "fma": Tile(6, 8)}
"""By the feature that a processor must have: most of its 32 or 16 vector registers are in use."""


def product(tile: Tile, third: Third, *, relu: bool) -> str:
    """Return the text of a function ``product(record)``.

    It computes ``alpha a @ b`` for each lane, does with `third` what it is for and writes the
    result, or what of it is above 0 with `relu`; a NaN stays one.
    """
    return _Product(tile, third, relu).code.text()


class _Product:
    """The function for one tile, third operand and ending.

    Its record: lanes, m, k, n; a and its strides over lanes, rows, columns; b and its three; the
    result and its two, as its rows lie in one piece; c and its three, that over columns 0 or 1;
    scratch; alpha and beta. Strides count floats.

    Where b's rows do not lie in one piece or end within a vector, scratch is not null, and b is
    copied there first, so that each panel of columns lies in one piece, with zeros after the last
    column. Scratch begins with room for a tile.
    """

    def __init__(self, tile: Tile, third: Third, relu: bool) -> None:
        self.tile, self.third, self.relu = tile, third, relu
        self.code = code = Code("product", tile.width)
        counts, strides = [INTEGER] * 4, [INTEGER] * 3
        types = [*counts, *[POINTER, *strides] * 2, POINTER, *strides[:2], POINTER, *strides]
        fields = code.fields([*types, POINTER])
        self.lanes, self.m, self.k, self.n = fields[:4]
        self.a, self.a_lane, self.a_row, self.a_column = fields[4:8]
        self.b, self.b_lane, self.b_row, self.b_column = fields[8:12]
        self.out, self.out_lane, self.out_row = fields[12:15]
        self.c, self.c_lane, self.c_row, self.c_column = fields[15:19]
        self.spare = fields[19]
        self.alpha, self.beta = code.floats(len(fields), 2)
        self.panels = code.at(self.spare, code.whole(tile.rows * tile.columns))
        self._lanes()

    def _lanes(self) -> None:
        code, b, tile = self.code, self.code.builder, self.tile
        packs = b.icmp_unsigned("!=", b.ptrtoint(self.spare, INTEGER), code.whole(0))
        # Blocks of rows are nearly equal: 10 rows are 5 and 5, as few rows keep a core waiting.
        blocks = b.sdiv(b.add(self.m, code.whole(tile.rows - 1)), code.whole(tile.rows))
        divisor = b.select(b.icmp_signed(">", blocks, code.whole(0)), blocks, code.whole(1))
        rows, longer = b.sdiv(self.m, divisor), b.srem(self.m, divisor)
        with code.loop(self.lanes) as lane:
            matrix = code.at(self.b, b.mul(lane.index, self.b_lane))
            fresh = b.or_(
                b.icmp_signed("==", lane.index, code.whole(0)),
                b.icmp_signed("!=", self.b_lane, code.whole(0)),
            )
            with b.if_then(b.and_(packs, fresh)):
                self._pack(matrix)
            a = code.at(self.a, b.mul(lane.index, self.a_lane))
            c = code.at(self.c, b.mul(lane.index, self.c_lane))
            out = code.at(self.out, b.mul(lane.index, self.out_lane))
            with code.loop(self.n, tile.columns) as panel:
                j = panel.index
                columns = b.sub(self.n, j)
                factor = b.select(packs, code.at(self.panels, b.mul(j, self.k)), code.at(matrix, j))
                stride = b.select(packs, code.whole(tile.columns), self.b_row)
                with code.loop(blocks, carried=[code.whole(0)]) as block:
                    (i,) = block.carried
                    long = b.zext(b.icmp_signed("<", block.index, longer), INTEGER)
                    height = b.add(rows, long)
                    block.following = [b.add(i, height)]
                    place = _Place(
                        columns,
                        code.at(a, b.mul(i, self.a_row)),
                        factor,
                        stride,
                        code.at(out, b.mul(i, self.out_row), j),
                        code.at(c, b.mul(i, self.c_row), b.mul(j, self.c_column)),
                    )
                    wide = b.zext(b.icmp_signed(">", columns, code.whole(tile.width)), INTEGER)
                    case = b.sub(b.add(height, b.mul(wide, code.whole(tile.rows))), code.whole(1))
                    with code.cases(case, 2 * tile.rows) as cases:
                        for number in cases:
                            self._tile(number % tile.rows + 1, number // tile.rows + 1, place)

    def _tile(self, rows: int, vectors: int, place: _Place) -> None:
        """Compute so many rows of so many vectors, or of what columns are left."""
        code, b, width = self.code, self.code.builder, self.tile.width
        starts = [code.at(place.a, b.mul(code.whole(r), self.a_row)) for r in range(rows)]
        zeros = [code.zeros()] * (rows * vectors)
        with code.loop(self.k, carried=[*zeros, place.b, code.whole(0)]) as inner:
            *sums, row, column = inner.carried
            factors = [
                code.read_vector(code.at(row, code.whole(q * width))) for q in range(vectors)
            ]
            for r, start in enumerate(starts):
                entry = code.spread(code.read(code.at(start, column)))
                for q, factor in enumerate(factors, start=r * vectors):
                    sums[q] = code.multiply_add(entry, factor, sums[q])
            inner.following = [*sums, code.at(row, place.b_row), b.add(column, self.a_column)]
        sums = inner.carried[: rows * vectors]

        offsets = [(r, q) for r in range(rows) for q in range(vectors)]
        whole = b.icmp_signed(">=", place.columns, code.whole(vectors * width))
        with b.if_else(whole) as (entire, partial):
            with entire:
                for (r, q), value in zip(offsets, sums, strict=True):
                    self._finish(value, place, code.whole(r), code.whole(q * width))
            with partial:
                for (r, q), value in zip(offsets, sums, strict=True):
                    offset = code.whole(r * self.tile.columns + q * width)
                    code.write(value, code.at(self.spare, offset))
                with code.loop(code.whole(rows)) as r, code.loop(place.columns) as j:
                    start = b.mul(r.index, code.whole(self.tile.columns))
                    value = code.read(code.at(self.spare, start, j.index))
                    self._finish(value, place, r.index, j.index)

    def _finish(self, value: Value, place: _Place, row: Value, column: Value) -> None:
        """Turn sums, a vector or a float of them, into the result and write it."""
        code, b = self.code, self.code.builder
        single = value.type == FLOAT
        alpha, beta = (x if single else code.spread(x) for x in (self.alpha, self.beta))
        value = b.fmul(value, alpha)
        if self.third is not Third.NONE:
            start = b.mul(row, self.c_row)
            if self.third is Third.BIAS:
                number = code.read(code.at(place.c, start))
                third = number if single else code.spread(number)
            else:
                pointer = code.at(place.c, start, column)
                third = code.read(pointer) if single else code.read_vector(pointer)
            if self.third is Third.GATE:
                passes = b.fcmp_ordered(">", third, code.zero(third))
                value = b.select(passes, value, code.zero(value))
            else:
                value = code.multiply_add(beta, third, value)
        if self.relu:
            value = b.select(b.fcmp_ordered("<", value, code.zero(value)), code.zero(value), value)
        code.write(value, code.at(place.out, b.mul(row, self.out_row), column))

    def _pack(self, matrix: Value) -> None:
        """Copy b to its panels, square blocks of a vector's width at a time."""
        code, b, width = self.code, self.code.builder, self.tile.width
        side, columns = code.whole(width), code.whole(self.tile.columns)
        by_rows = b.icmp_signed("==", self.b_column, code.whole(1))
        by_columns = b.icmp_signed("==", self.b_row, code.whole(1))
        with code.loop(self.n, width) as across, code.loop(self.k, width) as down:
            j, p = across.index, down.index
            within = b.srem(j, columns)
            panel = b.mul(b.sub(j, within), self.k)
            target = code.at(self.panels, panel, b.mul(p, columns), within)
            source = code.at(matrix, b.mul(j, self.b_column), b.mul(p, self.b_row))
            whole = b.and_(
                b.icmp_signed("<=", b.add(j, side), self.n),
                b.icmp_signed("<=", b.add(p, side), self.k),
            )
            with b.if_else(b.and_(whole, b.or_(by_rows, by_columns))) as (block, edge):
                with block:
                    step = b.select(by_rows, self.b_row, self.b_column)
                    rows = [
                        code.read_vector(code.at(source, b.mul(code.whole(x), step)))
                        for x in range(width)
                    ]
                    with b.if_else(by_rows) as (straight, turned):
                        with straight:
                            self._write_block(rows, target)
                        with turned:
                            self._write_block(code.transposed(rows), target)
                with edge:
                    left = b.sub(self.k, p)
                    height = b.select(b.icmp_signed("<", left, side), left, side)
                    with code.loop(height) as row, code.loop(side) as column:
                        exists = b.icmp_signed("<", b.add(j, column.index), self.n)
                        offset = b.mul(b.select(exists, column.index, code.whole(0)), self.b_column)
                        value = code.read(code.at(source, offset, b.mul(row.index, self.b_row)))
                        value = b.select(exists, value, code.zero(value))
                        code.write(value, code.at(target, b.mul(row.index, columns), column.index))

    def _write_block(self, rows: list[Value], target: Value) -> None:
        for x, row in enumerate(rows):
            self.code.write(row, self.code.at(target, self.code.whole(x * self.tile.columns)))


@dataclass(frozen=True)
class _Place:
    """Where a tile lies."""

    columns: Value
    """How many are left from its first on."""
    a: Value
    b: Value
    b_row: Value
    """Stride over b's rows."""
    out: Value
    c: Value
