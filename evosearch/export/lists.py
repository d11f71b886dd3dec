"""A rule as torch code over lists of tensors, one entry a parameter.

Elementwise ops become ``torch._foreach_*`` calls, which torch runs as few kernels over all tensors;
states and temporaries are overwritten where nobody reads them again. Ops that need a matrix run on
the stack of all matrices, which are of one shape then.

Each form computes what the op's template in the table computes, to the last bit. Only where a rule
has no op that jumps do averages and quotients round as in torch's own optimizers, which is faster.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from evosearch.export.dataflow import FlowNode
from evosearch.export.foreach import CHAINS, CORRECTIONS
from evosearch.export.hyper import ITERATIONS, ORTHOGONALIZERS, NamedRule, Word
from evosearch.export.plan import Plan
from evosearch.export.rule_code import RuleCode
from evosearch.export.variables import STACK, choose_names
from evosearch.language.rule import INPUTS
from primitives.op import Law, Op

__all__ = ["write_rule"]

_LONG: Final = 84  # a longer line is taken apart
_SHORT: Final = 50  # expressions shorter than this may be arguments of a call


def write_rule(named: NamedRule) -> RuleCode:
    """Write the code of a rule; variables keep the program's names."""
    draft = _Writer(named, {})
    draft.code()  # finds out which values share their memory, hence a variable
    return _Writer(named, choose_names(named, draft.memory)).code()


@dataclass
class _Writer:
    named: NamedRule
    chosen: dict[int, str]
    """The variable of each memory."""
    lines: list[str] = field(default_factory=list)
    memory: dict[int, int] = field(default_factory=dict)
    """The first value that lay where a value lies; itself where the memory is new."""
    stacks: set[int] = field(default_factory=set)
    """Values that are stacks of matrices; the others are lists."""
    stacked: dict[int, str] = field(default_factory=dict)
    """Variables that hold stacks of what is a list."""
    owned: set[int] = field(default_factory=set)
    """Values in memory that the rule may overwrite."""

    def __post_init__(self) -> None:
        self.flow = self.named.flow
        self.plan = Plan.of(self.named)
        self.matrices = not self.flow.rule.elementwise

    def code(self) -> RuleCode:
        """Write all statements, then what brings the states up to date."""
        flow = self.flow
        for i in range(len(INPUTS) + len(flow.states)):
            self.memory[i] = i
        left_out = {*self.plan.products.values(), self.plan.correction}
        left_out |= {flow.update} if self.plan.quotient else set()
        for node in flow.computed:
            if node.index in left_out:
                self.memory[node.index] = node.index
            else:
                self._write(node)
        for start, end in flow.states:
            if self.memory[end] != start:
                target, value = self._variable(start), self._variable(end)
                self.lines.append(f"_store({target}, {value})")
        self.lines.append(f"return {', '.join(map(self._variable, self._results()))}")
        body = "\n".join(self.lines)
        words = set(re.findall(r"\w+", body))
        parameters = [
            *(name for name in INPUTS if name in words),
            *(self._variable(start) for start, _ in flow.states),
            *(["t"] if "t" in words else []),
            *(hyper.name for hyper in self.named.hypers),
            *(["ns_dtype"] if "ns_dtype" in words else []),
        ]
        return RuleCode(
            parameters=tuple(parameters),
            states={start: self._variable(start) for start, _ in flow.states},
            lines=tuple(self.lines),
            kernels=tuple(sorted(words & self._kernels())),
            stacked=self.matrices,
            quotient=self.plan.quotient,
            fresh=flow.update in self.stacks or flow.nodes[self.memory[flow.update]].op is not None,
        )

    def _results(self) -> tuple[int, ...]:
        """Return the update, or the numerator and the denominator of it."""
        if not self.plan.quotient:
            return (self.flow.update,)
        numerator, denominator = self.flow.nodes[self.flow.update].reads
        if self.plan.correction is None:
            return numerator, denominator
        node = self.flow.nodes[self.plan.correction]
        factors = CORRECTIONS.format("", self.named.word(node, 1).atom)
        self.lines.append(f"torch._foreach_mul_({self._variable(denominator)}, {factors})")
        return node.reads[0], denominator

    def _kernels(self) -> set[str]:
        return {k for node in self.flow.computed if node.op for k in node.op.kernels}

    def _write(self, node: FlowNode) -> None:
        op = node.op
        assert op is not None
        stacked = any(x in self.stacks for x in node.reads)
        if op.uses_step:
            stacked = False
        if not op.elementwise or stacked:
            self._write_stack(node, op)
        elif op.name == "step":
            shape = "1, 1" if self.matrices else "()"
            self._assign(node, f"[x.new_ones({shape}) * s for x, s in zip(g, t, strict=True)]")
        elif self._native(node, op):
            self._write_chain(node, op)
        else:
            self._write_each(node, op)

    def _native(self, node: FlowNode, op: Op) -> bool:
        """Whether there are foreach functions for this op and these operands."""
        if op.name not in CHAINS:
            return False
        if op.name == "div":
            return isinstance(node.operands[0], int) and self.plan.plain[node.statement]
        return isinstance(node.operands[0], int) or Law.COMMUTATIVE in op.laws

    def _write_chain(self, node: FlowNode, op: Op) -> None:
        operands, words = self._operands(node, op)
        first = operands[0]
        assert isinstance(first, int)
        texts = [self._as_list(x) if isinstance(x, int) else "" for x in operands]
        texts = [text or str(word) for text, word in zip(texts, words, strict=False)]
        constants = [w.atom if op.name == "debias" else str(w) for w in words[op.arity :] if w]
        if op.name in ("minimum", "maximum") and isinstance(operands[1], int):
            chain: tuple[str, ...] = (f"{op.name} {{1}}",)
        elif node.index in self.plan.products:
            factors = self.flow.nodes[self.plan.products[node.index]].operands
            pair = ", ".join(self._as_list(int(x)) for x in (factors * 2)[:2])
            chain = ("mul {rest}", f"addcmul {pair}, value={{2}}")
        elif op.name == "lerp" and self.plan.smooth:
            chain = ("lerp {1}, {2}",)
        else:
            chain = CHAINS[op.name]
        rest = words[-1].other if words and words[-1] is not None else ""
        again = operands.count(first) > 1 or any("{0}" in call for call in chain[1:])
        in_place = self._may_overwrite(node, first) and not (len(chain) > 1 and again)
        name = self._name(node, first if in_place else None)
        for k, call in enumerate(chain):
            function, _, arguments = call.partition(" ")
            filled = arguments.format(*texts, *constants, rest=rest)
            if in_place or k > 0:
                target = texts[0] if in_place else name
                joined = ", ".join(x for x in (target, filled) if x)
                self.lines.append(f"torch._foreach_{function}_({joined})")
            else:
                joined = ", ".join(x for x in (texts[0], filled) if x)
                self.lines.append(f"{name} = torch._foreach_{function}({joined})")
        self.owned.add(node.index)

    def _operands(
        self, node: FlowNode, op: Op
    ) -> tuple[tuple[int | float, ...], list[Word | None]]:
        """Return operands and words, with a tensor of the result's shape first if possible."""
        words = [
            None if isinstance(x, int) else self.named.word(node, i)
            for i, x in enumerate(node.operands)
        ]
        operands = node.operands
        if Law.COMMUTATIVE in op.laws and op.arity == 2:
            best = max((0, 1), key=lambda i: self._merit(node, operands[i]))
            if best == 1:
                operands, words = operands[::-1], words[::-1]
        return operands, [*words, *self._constants(node, op)]

    def _merit(self, node: FlowNode, operand: int | float) -> tuple[bool, bool, bool]:
        if not isinstance(operand, int):
            return False, False, False
        full = self.plan.shapes[operand] == self.plan.shapes[node.index]
        return True, full, self._may_overwrite(node, operand)

    def _constants(self, node: FlowNode, op: Op) -> list[Word]:
        count = len(node.constants)
        return [self.named.word(node, op.arity + i) for i in range(count)]

    def _may_overwrite(self, node: FlowNode, first: int) -> bool:
        """Whether the result may take the memory of an operand, if one call computes it."""
        if (
            self.plan.shapes[first] != self.plan.shapes[node.index]
            or self.plan.last_use[first] > node.index
        ):
            return False
        if first in self.owned and first not in self.stacks:
            return node.index not in self.plan.ends
        return self.plan.ends.get(node.index) == first

    def _write_each(self, node: FlowNode, op: Op) -> None:
        """One call a tensor."""
        template = self._template(node, op)
        letters = iter("xyz")
        arguments, lists = [], []
        for i, operand in enumerate(node.operands):
            if isinstance(operand, int):
                letter = next(letters)
                arguments.append(letter)
                lists.append(self._as_list(operand))
            else:
                arguments.append(self.named.word(node, i).atom)
        arguments += map(str, self._constants(node, op))
        used = "xyz"[: len(lists)]
        if op.uses_step:  # each tensor counts its own steps
            template, used = re.sub(r"\bt\b", "s", template), f"{used}s"
            lists.append("t")
        text = template.format(*arguments)
        if re.fullmatch(rf"[\w.]+\({', '.join(used)}\)", text):
            self._assign(node, f"list(map({text.partition('(')[0]}, {', '.join(lists)}))")
        elif len(lists) == 1:
            self._assign(node, f"[{text} for x in {lists[0]}]")
        else:
            zipped = f"zip({', '.join(lists)}, strict=True)"
            start = f"{self._name(node, None)} = [{text} for {', '.join(used)} in"
            if len(start) + len(zipped) < _LONG:
                self.lines.append(f"{start} {zipped}]")
            else:
                self.lines += [f"_each = {zipped}", f"{start} _each]"]
        self.owned.add(node.index)

    def _write_stack(self, node: FlowNode, op: Op) -> None:
        """One call on the stack of all matrices."""
        template = self._template(node, op)
        precision = "ns_dtype" if op.name in ORTHOGONALIZERS else ""  # others need all digits
        arguments: list[str] = []
        for i, operand in enumerate(node.operands):
            if isinstance(operand, int):
                uses = template.count(f"{{{i}}}")
                arguments.append(self._as_stack(operand, node, uses, precision))
            else:
                arguments.append(self.named.word(node, i).atom)
        arguments += map(str, self._constants(node, op))
        self.stacks.add(node.index)
        if precision:
            template += ".to(g[0].dtype)"
        text = template.format(*arguments)
        if self._may_scale(node, template):
            value, factor = text.split(" * ", 1)
            bare = factor[1:-1] if factor.startswith("(") else factor
            self.lines.append(f"{value} *= {bare}")
            self.memory[node.index] = self.memory[int(node.operands[0])]
        else:
            self._assign(node, text)

    def _may_scale(self, node: FlowNode, template: str) -> bool:
        """Whether a product may take the memory of an orthogonalized stack."""
        first = node.operands[0]
        if not isinstance(first, int) or not template.startswith("{0} * "):
            return False
        op = self.flow.nodes[first].op
        if op is None or op.name not in ORTHOGONALIZERS or node.operands.count(first) > 1:
            return False
        same = self.plan.shapes[first] == self.plan.shapes[node.index]
        return same and self.plan.last_use[first] <= node.index

    def _template(self, node: FlowNode, op: Op) -> str:
        if op.name == "lerp":
            rest = self.named.word(node, op.arity).other
            return op.torch.replace("(1 - {2})", f"({rest})" if rest.complement else str(rest))
        if op.name in ITERATIONS and self.named.iterated:
            return op.torch.replace(str(ITERATIONS[op.name]), "ns_steps")
        return op.torch

    def _as_list(self, value: int) -> str:
        name = self._variable(value)
        return f"{name}.unbind()" if value in self.stacks else name

    def _as_stack(self, value: int, reader: FlowNode, uses: int, dtype: str) -> str:
        """Return a list as a stack, by a name of its own where the list lives on."""
        name = self._variable(value)
        if value not in self.stacks:
            readers = sum(value in node.reads for node in self.flow.computed)
            if readers == 1 and uses == 1:
                more = f", {dtype}" if dtype else ""
                if value not in self.owned or self.plan.last_use[value] > reader.index:
                    return f"_stack({name}{more})"
                target, _, source = self.lines[-1].partition(" = ")
                if target == name and len(source) < _SHORT:
                    self.lines[-1] = f"{name} = _stack({source}{more})"
                else:
                    self.lines.append(f"{name} = _stack({name}{more})")
                return name  # of the stack alone: the list is not kept
            if value not in self.stacked:
                self.stacked[value] = name + STACK
                self.lines.append(f"{name}{STACK} = _stack({name})")
            name = self.stacked[value]
        return f"{name}.to(dtype={dtype})" if dtype else name

    def _assign(self, node: FlowNode, text: str) -> None:
        self.lines.append(f"{self._name(node, None)} = {text}")

    def _name(self, node: FlowNode, first: int | None) -> str:
        """Place a value where the value `first` lies, or in new memory; return its variable."""
        self.memory[node.index] = node.index if first is None else self.memory[first]
        return self._variable(node.index)

    def _variable(self, value: int) -> str:
        root = self.memory[value]
        return self.chosen.get(root, f"v{root}")
