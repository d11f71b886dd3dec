"""The register machine: a kernel that runs elementwise rules over parts of tensors.

torch passes over whole tensors for each op of a rule. The machine takes `PART` entries at a time
through all of a rule's instructions, while they stay in the nearest cache, and is compiled once
for all rules: a rule is data to it, so it costs a search nothing to try another one.
"""

from __future__ import annotations

from proxy_tasks.kernels.abi import PART, WIDTH
from proxy_tasks.kernels.ir import INTEGER, POINTER, Code, SsaValue
from proxy_tasks.kernels.vm_instructions import INSTRUCTIONS

__all__ = ["machine"]


def machine(name: str) -> str:
    """Return the text of the kernel, a function of that name.

    Scratch has room for an address for each slot, then for `PART` floats for each number and each
    register.
    """
    code = Code(name, WIDTH)
    b = code.builder
    rows, columns, streams, numbers, registers, count, scratch = code.fields(
        code.argument, [*[INTEGER] * 6, POINTER]
    )
    # Offsets count floats, and a word of 8 bytes is two: 7 words, then 2 for each stream, then 5
    # for each instruction.
    table = code.at(code.argument, code.whole(2 * 7))
    program = code.at(table, b.mul(streams, code.whole(2 * 2)))
    constants = code.at(program, b.mul(count, code.whole(2 * 5)))
    own = b.add(numbers, registers)
    table_size = b.mul(b.add(streams, own), code.whole(2))
    filled = b.add(table_size, code.whole(WIDTH - 1))  # buffers begin where lines of the cache do
    buffers = code.at(scratch, b.sub(filled, b.srem(filled, code.whole(WIDTH))))

    def set_slot(slot: SsaValue, address: SsaValue) -> None:
        b.store(address, b.gep(scratch, [slot], source_etype=INTEGER), align=8)

    def slot(number: SsaValue) -> SsaValue:
        return b.load(b.gep(scratch, [number], source_etype=INTEGER), typ=POINTER, align=8)

    with code.loop(own) as i:
        buffer = code.at(buffers, b.mul(i.index, code.whole(PART)))
        set_slot(b.add(streams, i.index), buffer)
    # A number is a vector of equal entries, so that instructions need not tell one from another.
    with code.loop(numbers) as i:
        buffer = slot(b.add(streams, i.index))
        number = code.spread(code.read(code.at(constants, i.index)))
        with code.loop(code.whole(PART), WIDTH) as j:
            code.write(number, code.at(buffer, j.index))

    with code.loop(rows) as row, code.loop(columns, PART) as part:
        left = b.sub(columns, part.index)
        part_size = code.whole(PART)
        size = b.select(b.icmp_signed("<", left, part_size), left, part_size)
        with code.loop(streams) as i:
            address, stride = code.fields(
                code.at(table, b.mul(i.index, code.whole(4))), [POINTER, INTEGER]
            )
            set_slot(i.index, code.at(address, b.mul(row.index, stride), part.index))
        with code.loop(count) as i:
            record = code.at(program, b.mul(i.index, code.whole(10)))
            which, *places = code.fields(record, [INTEGER] * 5)
            target, x, y, z = map(slot, places)
            # The instruction is looked up once for a whole part of a vector, not for each entry.
            with code.cases(which, len(INSTRUCTIONS)) as cases:
                for _, operation in zip(cases, INSTRUCTIONS.values(), strict=True):
                    sources = (x, y, z)[: operation.arity]
                    whole = b.sub(size, b.srem(size, code.whole(WIDTH)))
                    with code.loop(whole, WIDTH) as j:
                        values = [code.read_vector(code.at(p, j.index)) for p in sources]
                        code.write(operation.write(code, *values), code.at(target, j.index))
                    with code.loop(b.sub(size, whole)) as j:
                        values = [code.read(code.at(p, whole, j.index)) for p in sources]
                        code.write(operation.write(code, *values), code.at(target, whole, j.index))
    return code.text()
