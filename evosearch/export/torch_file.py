"""A rule set as a torch.optim.Optimizer in one file that imports torch alone."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

from evosearch.errors import UsageError
from evosearch.export.hyper import NamedRule
from evosearch.export.kernel_sources import source_of, with_called
from evosearch.export.licence import SPDX
from evosearch.export.part import Option, Part, entry, name_rule
from evosearch.export.torch_template import FILE, FUNCTIONS, METHODS
from evosearch.language.known import rest_of
from evosearch.language.library import LIBRARY
from evosearch.language.liveness import strip
from evosearch.language.rule import Rule, RuleSet
from evosearch.recognize.recognize import recognize_rule

__all__ = ["class_name", "customary_lr", "export"]

_PARAMS = "parameters or groups of them, as for any optimizer; groups may override all else."
_BACKUP = "for the other parameters; their learning rate follows `lr` in constant proportion."
_ROUTE = (
    "whether a group's parameters are such matrices; by default, those of two or more dimensions "
    "and fewer than 10,000 rows. Where False, the group's `lr` is the rate for the others."
)
_FLAGS = "as in torch.optim.AdamW; by default, foreach on a GPU."
_REMARK = (
    "Default values are those of the program. States have their parameter's dtype. "
    "Sparse gradients and complex numbers are refused."
)


def export(
    rules: RuleSet,
    *,
    name: str | None = None,
    lr: float | None = None,
    rest_lr: float | None = None,
    provenance: str = "",
) -> str:
    """Return the source of a module that defines the rule set as a torch.optim.Optimizer.

    Args:
        rules: the rule set; redundant statements are left out.
        name: the class's name, or one that it is made from: ``my_lion`` becomes ``MyLion``. The
            rule's name by default.
        lr: default learning rate, as found by the search; the customary one of a known optimizer,
            else 1e-3.
        rest_lr: default learning rate of the rule for what is no hidden matrix (3e-4).
        provenance: one line that says where the optimizer comes from.

    Raises:
        UsageError: the name cannot name a class.
    """
    title = class_name(name or rules.name)
    if not title.isidentifier() or title in ("Optimizer", "ParamsT", "Tensor"):
        given = name or rules.name
        raise UsageError(f"`{given}` cannot name a class; expected a plain name such as `MyLion`")
    lr = customary_lr(rules.name) if lr is None else lr
    matrix, rest = name_rule(strip(rules.matrix)), _rest(rules)
    if rest is None:
        return _File(title, provenance, (Part(matrix, "_update", lr),)).text()
    backup = name_rule(rest)
    rest_lr = 3e-4 if rest_lr is None else rest_lr
    parts = (
        Part(matrix, "_matrix_update", lr),
        Part(backup, "_backup_update", rest_lr, _prefix(rest)),
    )
    return _File(title, provenance, parts).text()


def class_name(name: str) -> str:
    """Return the class name for a name: ``my_lion`` becomes ``MyLion``, ``MyLion`` stays."""
    words = name.split("_")
    given = LIBRARY[name].class_name if name in LIBRARY else ""
    return given or "".join(word[:1].upper() + word[1:] for word in words)


def customary_lr(name: str) -> float:
    """Return the default learning rate that users of an optimizer expect: 1e-3 where none do."""
    return LIBRARY[name].lr if name in LIBRARY else 1e-3


def _rest(rules: RuleSet) -> Rule | None:
    """Return the rule for what is no hidden matrix, or None where one rule serves all."""
    rest, matrix = strip(rest_of(rules)), strip(rules.matrix)
    return None if rest == matrix.renamed(rest.name) else rest


def _prefix(rest: Rule) -> str:
    """Return what its options' names begin with; Muon's users know them by AdamW's."""
    known = recognize_rule(rest)
    return "backup_adamw_" if known is not None and known.name.startswith("adam") else "backup_"


@dataclass(frozen=True)
class _File:
    name: str
    provenance: str
    parts: tuple[Part, ...]

    @property
    def routed(self) -> bool:
        """Whether there are two rules, and parameters are told apart."""
        return len(self.parts) == 2

    @property
    def counts(self) -> bool:
        """Whether some parameters have counters of steps."""
        return any(part.counts for part in self.parts)

    def text(self) -> str:
        """Return the source."""
        words = {
            "licence": SPDX,
            "title": f"{self.name}, an optimizer for PyTorch.",
            "origin": self.provenance or "Made by evosearch from the program in its documentation.",
            "name": self.name,
            "names": self._names,
        }
        blocks = {
            "documentation": self._documentation(),
            "signature": self._signature(),
            "defaults": [f'"{o.name}": {o.name},' for o in self._options()],
            "checks": self._checks(),
            "restore": _RESTORE if self.counts else [],
            "methods": self._methods(),
            "functions": self._functions(),
        }
        return _fill(FILE, words, blocks).rstrip() + "\n"

    @property
    def _names(self) -> str:
        return "matrices, params" if self.routed else "params"

    def _options(self) -> list[Option]:
        flags = [
            Option("maximize", "bool", "False"),
            Option("foreach", "bool | None", "None"),
            Option("capturable", "bool", "False"),
        ]
        if self.routed:
            flags.insert(0, Option("use_matrix_rule", "bool | None", "None"))
        return [option for part in self.parts for option in part.options] + flags

    def _signature(self) -> list[str]:
        lines = [f"{o.name}: {o.annotation} = {o.default}," for o in self._options()]
        first = min(4, len(self.parts[0].options))  # what may be passed by position, after params
        return [*lines[:first], "*,", *lines[first:]]

    def _documentation(self) -> list[str]:
        first = self.parts[0]
        if self.routed:
            lines = [f'"""{self.name}: one rule for hidden matrices, one for the rest.', ""]
            lines += [f"A hidden matrix {_moves(first.named)}", "", *_indented(first.formula())]
            second = self.parts[1]
            lines += ["", f"Any other parameter {_moves(second.named)}", ""]
            lines += _indented(second.formula())
        else:
            lines = [f'"""The {self.name} optimizer.', "", f"A parameter {_moves(first.named)}", ""]
            lines += _indented(first.formula())
        lines += ["", *textwrap.wrap(_REMARK, 80), "", "Args:", *entry("params", _PARAMS)]
        for option in first.options:
            lines += entry(option.name, option.doc)
        if self.routed:
            lines += entry(", ".join(o.name for o in self.parts[1].options), _BACKUP)
            lines += entry("use_matrix_rule", _ROUTE)
        return [*lines, *entry("maximize, foreach, capturable", _FLAGS), '"""']

    def _checks(self) -> list[str]:
        checks = [
            f'_check("{option.name}", group["{option.name}"], {option.check})'
            for option in self._options()
            if option.check
        ]
        group = "group = {**self.defaults, **param_group}"
        if not self.routed:
            return [group, *checks, "super().add_param_group(param_group)"]
        backup_lr = self.parts[1].options[0].name
        return [
            'if param_group.get("use_matrix_rule") is False and "lr" in param_group:',
            f'    param_group = {{"{backup_lr}": param_group["lr"], **param_group}}',
            group,
            *checks,
            f'lr = group["lr"] if "{backup_lr}" in param_group else self.defaults["lr"]',
            "if lr == 0:",
            '    raise ValueError("lr must be > 0: the other rate is a multiple of it")',
            f'ratio = float(group["{backup_lr}"]) / float(lr)',
            'super().add_param_group({"lr_ratio": ratio, **param_group})',
        ]

    def _apply(self) -> list[str]:
        if not self.routed:
            return self.parts[0].advance(8)
        first, second = (_indented(part.advance(12)) for part in self.parts)
        return ["if matrices:", *first, "else:", *second]

    def _methods(self) -> list[str]:
        zeros = [_indented(part.zeros()) for part in self.parts]
        kind, states = [], ["if not state:", *zeros[0]]
        if self.routed:
            kind = ["matrix = _is_matrix(group, i)"]
            if zeros[0] != zeros[1]:
                states = ["if not state and matrix:", *zeros[0], "elif not state:", *zeros[1]]
        words = {"batch": "(matrix, batch)" if self.routed else "batch"}
        blocks = {"kind": kind, "states": states, "key": self._key()}
        text = _fill(METHODS["_advance"], {"names": self._names}, {"apply": self._apply()})
        text += "\n" + _fill(METHODS["_batches"], words, blocks)
        if self.counts:
            text += "\n" + METHODS["_count"]
        return text.rstrip().split("\n")

    def _key(self) -> list[str]:
        """Return the lines that find what parameters of one call have in common."""
        stacked = [part.code.stacked for part in self.parts]
        place = '(p.device, p.dtype, getattr(p, "device_mesh", None))'
        if not self.routed and not any(stacked):
            foreach = 'foreach = p.is_cuda if group["foreach"] is None else group["foreach"]'
            return [foreach, f"key = {place} if foreach else i"]
        more, many = "", "p.is_cuda"
        if all(stacked):
            more, many = ", p.shape", "True"
        elif stacked[0]:
            more, many = ", p.shape if matrix else None", "matrix or p.is_cuda"
        elif any(stacked):
            more, many = ", None if matrix else p.shape", "p.is_cuda or not matrix"
        kind = "matrix, " if self.routed else ""
        return [
            *('foreach = group["foreach"]', "if foreach is None:", f"    foreach = {many}"),
            f"place = {place}",
            f"key = ({kind}place{more}) if foreach else i",
        ]

    def _functions(self) -> list[str]:
        pieces = ["\n".join(part.source()) for part in self.parts]
        for kernel in with_called({k for part in self.parts for k in part.code.kernels}):
            pieces.append(source_of(kernel))
        called = [*self._checks(), *self._methods(), *pieces]
        used = {word for text in called for word in re.findall(r"\b_\w+(?=\()", text)}
        if "_store" in used:
            used.add("_like")
        if any(part.code.quotient for part in self.parts):
            used = {*used, "_descend/"} - {"_descend"}
        pieces += [text for name, text in FUNCTIONS.items() if name in used]
        return "\n\n\n".join(piece.rstrip() for piece in pieces).split("\n")


_RESTORE = [
    'for p in group["params"]:',
    '    if "step" in self.state.get(p, {}):',
    '        self.state[p]["step"] = _counter(self.state[p]["step"], p, group)',
]


def _moves(named: NamedRule) -> str:
    """Return the sentence that introduces a formula."""
    names = [state.name for state in named.flow.rule.states]
    if not names:
        return "w with gradient g moves by"
    states = f"states {', '.join(names)}" if names[1:] else f"state {names[0]}"
    return f"w with gradient g and {states}, 0 at first, moves by"


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _fill(template: str, words: dict[str, str], blocks: dict[str, list[str]]) -> str:
    """Replace ``$names``: words within lines, blocks where a name has a line to itself."""
    lines: list[str] = []
    for line in template.split("\n"):
        match = re.fullmatch(r"( *)\$(\w+)", line)
        if match and match[2] in blocks:
            lines += [match[1] + x if x else "" for x in blocks[match[2]]]
        else:
            lines.append(re.sub(r"\$(\w+)", lambda m: words[m[1]], line))
    return "\n".join(lines)
