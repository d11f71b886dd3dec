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

from dataclasses import dataclass, replace
from typing import Final

from proxy_tasks.kernels.abi import Third, Tile
from proxy_tasks.kernels.ir import FLOAT, INTEGER, POINTER, Code, SsaValue
from proxy_tasks.kernels.vectors import transposed

__all__ = ["products"]

_TYPES: Final = (
    *[INTEGER] * 3,
    *[POINTER, INTEGER, INTEGER, INTEGER] * 2,
    *[POINTER, INTEGER, INTEGER],
    *[POINTER, INTEGER, INTEGER, INTEGER],
    *[POINTER, FLOAT, FLOAT],
)
_FLOATS: Final = 2 * 19 + 2
"""A record's length, in floats' lengths."""


def products(tile: Tile, third: Third, *, relu: bool) -> str:
    """Return the text of a function ``products(record)``.

    In each lane, before the next one, it does the products one after another: it computes ``alpha a
    @ b``, does with `third` what it is for, with `relu` sets what is below 0 to 0 (a NaN stays
    one), and writes the result. Several products may hence use what a stride of 0 over lanes makes
    common to all lanes, as their own while it lasts.

    Where b's rows do not lie in one piece or end within a vector, scratch is not null, and b is
    copied there first, so that each panel of columns lies in one piece, with zeros after the last
    column. Scratch begins with room for a tile.
    """
    code = Code("products", tile.width)
    b = code.builder
    lanes, count = code.fields(code.argument, [INTEGER] * 2)
    records = code.at(code.argument, code.whole(2 * 2))
    several = b.icmp_signed(">", count, code.whole(1))
    with code.loop(lanes) as lane, code.loop(count) as number:
        record = code.at(records, b.mul(number.index, code.whole(_FLOATS)))
        fields = code.fields(record, _TYPES)
        # A b that all lanes share is copied in the first lane alone; but of several products one
        # may write the b of the next (as Newton-Schulz does), so that it is new in every lane.
        first = b.icmp_signed("==", lane.index, code.whole(0))
        _Product(code, tile, third, relu, fields).write(lane.index, b.or_(several, first))
    return code.text()


@dataclass(frozen=True)
class _Block:
    """Where a tile lies."""

    columns: SsaValue
    """How many are left from its first on."""
    a: SsaValue
    b: SsaValue
    b_row: SsaValue
    """Stride over b's rows."""
    out: SsaValue
    c: SsaValue


class _Product:
    """Writes one lane's product."""

    def __init__(
        self, code: Code, tile: Tile, third: Third, relu: bool, fields: list[SsaValue]
    ) -> None:
        self.code, self.tile, self.third, self.relu = code, tile, third, relu
        self.m, self.k, self.n = fields[:3]
        self.a, self.a_lane, self.a_row, self.a_column = fields[3:7]
        self.b, self.b_lane, self.b_row, self.b_column = fields[7:11]
        self.out, self.out_lane, self.out_row = fields[11:14]
        self.c, self.c_lane, self.c_row, self.c_column = fields[14:18]
        self.scratch, self.alpha, self.beta = fields[18:]

    def write(self, lane: SsaValue, fresh: SsaValue) -> None:
        """Write the product of one lane; what a b that all lanes share needs is done if `fresh`."""
        code, b, columns = self.code, self.code.builder, self.tile.columns
        packs = b.icmp_unsigned("!=", b.ptrtoint(self.scratch, INTEGER), code.whole(0))
        panels = code.at(self.scratch, code.whole(self.tile.size))
        matrix = code.at(self.b, b.mul(lane, self.b_lane))
        own = b.icmp_signed("!=", self.b_lane, code.whole(0))
        with b.if_then(b.and_(packs, b.or_(fresh, own))):
            self._pack(matrix, panels)
        a = code.at(self.a, b.mul(lane, self.a_lane))
        out = code.at(self.out, b.mul(lane, self.out_lane))
        c = code.at(self.c, b.mul(lane, self.c_lane))
        with code.loop(self.n, columns) as panel:
            j = panel.index
            factor = b.select(packs, code.at(panels, b.mul(j, self.k)), code.at(matrix, j))
            stride = b.select(packs, code.whole(columns), self.b_row)
            out_j, c_j = code.at(out, j), code.at(c, b.mul(j, self.c_column))
            left = b.sub(self.n, j)
            # The last columns may fit into one vector; half the work of a tile is saved then.
            wide = b.icmp_signed(">", left, code.whole(self.tile.width))
            with b.if_else(wide) as (two, one):
                with two:
                    self._panel(2, _Block(left, a, factor, stride, out_j, c_j))
                with one:
                    self._panel(1, _Block(left, a, factor, stride, out_j, c_j))

    def _panel(self, vectors: int, top: _Block) -> None:
        """Write the tiles of so many vectors of columns, from the top down."""
        code, b, done = self.code, self.code.builder, self.code.whole(0)
        # As many of the highest tiles as fit, then of the next: what is left gets ever lower.
        for height in self.tile.heights:
            count = b.sdiv(b.sub(self.m, done), code.whole(height))
            with code.loop(count) as block:
                i = b.add(done, b.mul(block.index, code.whole(height)))
                place = replace(
                    top,
                    a=code.at(top.a, b.mul(i, self.a_row)),
                    out=code.at(top.out, b.mul(i, self.out_row)),
                    c=code.at(top.c, b.mul(i, self.c_row)),
                )
                self._tile(height, vectors, place)
            done = b.add(done, b.mul(count, code.whole(height)))

    def _tile(self, rows: int, vectors: int, place: _Block) -> None:
        """Write so many rows of so many vectors, or of what columns are left."""
        code, b, width = self.code, self.code.builder, self.tile.width
        starts = [code.at(place.a, b.mul(code.whole(r), self.a_row)) for r in range(rows)]
        zeros = [code.filled(0.0)] * (rows * vectors)
        with code.loop(self.k, carried=[*zeros, place.b, code.whole(0)]) as inner:
            *sums, row, column = inner.carried
            parts = [code.at(row, code.whole(q * width)) for q in range(vectors)]
            factors = [code.read_vector(part) for part in parts]
            for r, start in enumerate(starts):
                entry = code.spread(code.read(code.at(start, column)))
                for q, factor in enumerate(factors, start=r * vectors):
                    sums[q] = code.multiply_add(entry, factor, sums[q])
            inner.following = [*sums, code.at(row, place.b_row), b.add(column, self.a_column)]
        sums = inner.carried[: rows * vectors]

        offsets = [(r, q * width) for r in range(rows) for q in range(vectors)]
        whole = b.icmp_signed(">=", place.columns, code.whole(vectors * width))
        with b.if_else(whole) as (entire, partial):
            with entire:
                for (r, column), value in zip(offsets, sums, strict=True):
                    self._finish(value, place, code.whole(r), code.whole(column))
            # Vectors must not be written beyond the last column, where the next row or lane lies.
            # So the tile goes to scratch, which there is whenever n is no multiple of a vector.
            with partial:
                for (r, column), value in zip(offsets, sums, strict=True):
                    offset = code.whole(r * self.tile.columns + column)
                    code.write(value, code.at(self.scratch, offset))
                with code.loop(code.whole(rows)) as r, code.loop(place.columns) as j:
                    start = b.mul(r.index, code.whole(self.tile.columns))
                    value = code.read(code.at(self.scratch, start, j.index))
                    self._finish(value, place, r.index, j.index)

    def _finish(self, value: SsaValue, place: _Block, row: SsaValue, column: SsaValue) -> None:
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

    def _pack(self, matrix: SsaValue, panels: SsaValue) -> None:
        """Copy b to its panels, square blocks of a vector's width at a time."""
        code, b, width = self.code, self.code.builder, self.tile.width
        side, columns = code.whole(width), code.whole(self.tile.columns)
        by_rows = b.icmp_signed("==", self.b_column, code.whole(1))
        by_columns = b.icmp_signed("==", self.b_row, code.whole(1))
        with code.loop(self.n, width) as across, code.loop(self.k, width) as down:
            j, p = across.index, down.index
            within = b.srem(j, columns)
            target = code.at(panels, b.mul(b.sub(j, within), self.k), b.mul(p, columns), within)
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
                            self._write_block(transposed(code, rows), target)
                # A block that is not whole, or that has no rows or columns in one piece, goes entry
                # by entry. Where a matrix ends, memory may end: for a column that does not exist
                # the block's first is read, and 0 written.
                with edge:
                    left = b.sub(self.k, p)
                    height = b.select(b.icmp_signed("<", left, side), left, side)
                    with code.loop(height) as row, code.loop(side) as column:
                        exists = b.icmp_signed("<", b.add(j, column.index), self.n)
                        offset = b.mul(b.select(exists, column.index, code.whole(0)), self.b_column)
                        value = code.read(code.at(source, offset, b.mul(row.index, self.b_row)))
                        value = b.select(exists, value, code.zero(value))
                        code.write(value, code.at(target, b.mul(row.index, columns), column.index))

    def _write_block(self, rows: list[SsaValue], target: SsaValue) -> None:
        for x, row in enumerate(rows):
            self.code.write(row, self.code.at(target, self.code.whole(x * self.tile.columns)))
