"""Softmax and division by the root mean square, row by row, in LLVM's representation.

torch makes several passes over all rows, or one that waits for exponentials; here a row stays in
the nearest cache from the first pass to the last. A row is a multiple of `WIDTH` long, and sums run
over so many columns apart on every processor, so results do not depend on it.
"""

from __future__ import annotations

from typing import Final

from proxy_tasks.kernels.abi import WIDTH
from proxy_tasks.kernels.ir import FLOAT, INTEGER, POINTER, Code, SsaValue
from proxy_tasks.kernels.vectors import exp, fold

__all__ = ["KERNELS"]


class _Rows:
    """Begins a function over rows and knows its arguments."""

    def __init__(self, name: str) -> None:
        self.code = code = Code(name, WIDTH)
        fields = code.fields(code.argument, [INTEGER] * 2 + [POINTER] * 5 + [FLOAT])
        self.count, self.length = fields[:2]
        self.pointers, self.number = fields[2:7], fields[7]
        self.mean = self.inverse(code.builder.sitofp(self.length, FLOAT))

    def inverse(self, number: SsaValue) -> SsaValue:
        """Return 1 / number."""
        return self.code.builder.fdiv(self.code.one(number), number)

    def starts(self, row: SsaValue) -> list[SsaValue]:
        """Return where a row begins behind each of the addresses."""
        offset = self.code.builder.mul(row, self.length)
        return [self.code.at(pointer, offset) for pointer in self.pointers]

    def total(self, vector: SsaValue) -> SsaValue:
        """Return the sum of a vector's entries."""
        return fold(self.code, vector, self.code.builder.fadd)


def softmax(name: str, *, targets: bool) -> str:
    """Return the text of a softmax of x into out, less 1 in the column that each row's target is.

    A target that is no column makes the first entry of its row NaN.

    Addresses: x, out (may be x), targets (int64, one a row).
    """
    rows = _Rows(name)
    code, b = rows.code, rows.code.builder
    with code.loop(rows.count) as row:
        x, out, *_ = rows.starts(row.index)

        def larger(one: SsaValue, other: SsaValue) -> SsaValue:
            return b.select(b.fcmp_ordered(">", one, other), one, other)

        with code.loop(rows.length, WIDTH, [code.filled(-float("inf"))]) as j:
            j.following = [larger(code.read_vector(code.at(x, j.index)), j.carried[0])]
        largest = code.spread(fold(code, j.carried[0], larger))  # so that no power overflows
        with code.loop(rows.length, WIDTH, [code.filled(0.0)]) as j:
            difference = b.fsub(code.read_vector(code.at(x, j.index)), largest)
            power = exp(code, difference)
            code.write(power, code.at(out, j.index))
            j.following = [b.fadd(j.carried[0], power)]
        scale = code.spread(rows.inverse(rows.total(j.carried[0])))
        with code.loop(rows.length, WIDTH) as j:
            place = code.at(out, j.index)
            code.write(b.fmul(code.read_vector(place), scale), place)
        if targets:
            target = code.read_whole(rows.pointers[2], row.index)
            # Compared without a sign, a negative target is a large one: one test sees both ends.
            exists = b.icmp_unsigned("<", target, rows.length)
            place = code.at(out, b.select(exists, target, code.whole(0)))
            value = code.read(place)
            less = b.fsub(value, code.one(value))
            code.write(b.select(exists, less, code.not_a_number(value)), place)
    return code.text()


def softmax_backward(name: str) -> str:
    """Return the text of ``delta = (delta - sum(delta out)) out``. Addresses: delta, out."""
    rows = _Rows(name)
    code, b = rows.code, rows.code.builder
    with code.loop(rows.count) as row:
        delta, out, *_ = rows.starts(row.index)
        with code.loop(rows.length, WIDTH, [code.filled(0.0)]) as j:
            value, factor = (code.read_vector(code.at(x, j.index)) for x in (delta, out))
            j.following = [code.multiply_add(value, factor, j.carried[0])]
        total = code.spread(rows.total(j.carried[0]))
        with code.loop(rows.length, WIDTH) as j:
            place = code.at(delta, j.index)
            difference = b.fsub(code.read_vector(place), total)
            code.write(b.fmul(difference, code.read_vector(code.at(out, j.index))), place)
    return code.text()


def rms_norm(name: str) -> str:
    """Return the text of ``out = x inverse`` with ``inverse = 1 / sqrt(mean(x^2) + number)``.

    Addresses: x, out, inverse (one a row).
    """
    rows = _Rows(name)
    code, b = rows.code, rows.code.builder
    with code.loop(rows.count) as row:
        x, out, *_ = rows.starts(row.index)
        with code.loop(rows.length, WIDTH, [code.filled(0.0)]) as j:
            value = code.read_vector(code.at(x, j.index))
            j.following = [code.multiply_add(value, value, j.carried[0])]
        square = code.multiply_add(rows.total(j.carried[0]), rows.mean, rows.number)
        inverse = rows.inverse(code.root(square))
        code.write(inverse, code.at(rows.pointers[2], row.index))
        scale = code.spread(inverse)
        with code.loop(rows.length, WIDTH) as j:
            value = code.read_vector(code.at(x, j.index))
            code.write(b.fmul(value, scale), code.at(out, j.index))
    return code.text()


def rms_norm_backward(name: str, *, adds: bool) -> str:
    """Return the text of ``result = (delta - out mean(delta out)) inverse``, or ``result +=`` that.

    Addresses: delta, out, inverse (one a row), result (may be delta).
    """
    rows = _Rows(name)
    code, b = rows.code, rows.code.builder
    with code.loop(rows.count) as row:
        delta, out, _, result, _ = rows.starts(row.index)
        with code.loop(rows.length, WIDTH, [code.filled(0.0)]) as j:
            value, factor = (code.read_vector(code.at(x, j.index)) for x in (delta, out))
            j.following = [code.multiply_add(value, factor, j.carried[0])]
        mean = code.spread(b.fneg(b.fmul(rows.total(j.carried[0]), rows.mean)))
        scale = code.spread(code.read(code.at(rows.pointers[2], row.index)))
        with code.loop(rows.length, WIDTH) as j:
            value, normed = (code.read_vector(code.at(x, j.index)) for x in (delta, out))
            value = code.multiply_add(normed, mean, value)
            place = code.at(result, j.index)
            if adds:
                value = code.multiply_add(value, scale, code.read_vector(place))
            else:
                value = b.fmul(value, scale)
            code.write(value, place)
    return code.text()


KERNELS: Final = {
    "softmax": lambda name: softmax(name, targets=False),
    "softmax_less_one": lambda name: softmax(name, targets=True),
    "softmax_backward": softmax_backward,
    "rms_norm": rms_norm,
    "rms_norm_backward": lambda name: rms_norm_backward(name, adds=False),
    "rms_norm_backward_add": lambda name: rms_norm_backward(name, adds=True),
}
"""Name to what writes the function of that name."""
