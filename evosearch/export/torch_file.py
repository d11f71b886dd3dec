"""A rule set as a torch.optim.Optimizer in one file that imports torch alone."""

from __future__ import annotations

import keyword
import re
import textwrap
from dataclasses import dataclass
from typing import Final

from evosearch.errors import UsageError
from evosearch.export.hyper import NamedRule, Scale
from evosearch.export.kernel_sources import source_of, with_called
from evosearch.export.licence import SPDX
from evosearch.export.part import WIDTH, Option, Part, descent, entry, name_rule, wrapped
from evosearch.export.rates import default_lr
from evosearch.export.states import conventional
from evosearch.export.torch_template import FILE, FUNCTIONS, ONE_RULE, TWO_RULES
from evosearch.language.known import rest_of
from evosearch.language.library import LIBRARY
from evosearch.language.liveness import strip
from evosearch.language.rule import Rule, RuleSet
from evosearch.recognize.recognize import recognize_rule
from primitives.table import OPS

__all__ = ["class_name", "customary_lr", "export", "found_rates", "parts_of"]

MATCHED: Final = "match_rms_adamw"
"""The default of ``adjust_lr_fn``, where no one expects another."""
MUON_REST: Final = 3e-4
"""The rate of AdamW beside Muon at its own scale, after github.com/KellerJordan/Muon."""

_PARAMS = "parameters, named or not, or groups with options of their own."
_LR = "learning rate, a number or a tensor of one element, >= 0"
_DECAY = "decoupled weight decay, per step and unit of lr, >= 0"
_ROUTE = (
    "whether a group's parameters are hidden matrices. By default names and shapes decide: "
    "vectors, tables of 10,000 rows, what is called an embedding or a head, and convolutions of "
    "images are none."
)
_STACK = (
    "how many leading dimensions count matrices, as of stacked experts; by default 1 for three "
    "dimensions of which the last is 16 or more, else 0."
)
_FLAGS = "as in torch.optim.AdamW; foreach by default."
_OWN = (
    "A group has one rule, and its options are that rule's own: `lr` is the rate of its "
    "parameters, whichever rule moves them. A group with both kinds is split in two, where "
    "`{prefix}*` options are for the others"
)
_REMARK = "States have their parameter's dtype."
_TAKEN = ("Optimizer", "ParamsT", "Tensor")


def export(
    rules: RuleSet,
    *,
    name: str | None = None,
    lr: float | None = None,
    rest_lr: float | None = None,
    found: tuple[float | None, float | None] = (None, None),
    provenance: str = "",
) -> str:
    """Return the source of a module that defines the rule set as a torch.optim.Optimizer.

    Args:
        rules: the rule set; redundant statements are left out.
        name: the class's name, or one that it is made from: ``my_lion`` becomes ``MyLion``. The
            rule's name by default.
        lr: default learning rate, in the program's own units; by default the customary one of a
            known optimizer, else one for ordinary models (`evosearch.export.rates`).
        rest_lr: the same of the rule for what is no hidden matrix.
        found: the best learning rates of the search, which the documentation states.
        provenance: one line that says where the optimizer comes from.

    Raises:
        UsageError: the name cannot name a class.
    """
    title = class_name(name or rules.name)
    if not title.isidentifier() or keyword.iskeyword(title) or title in _TAKEN:
        given = name or rules.name
        raise UsageError(f"`{given}` cannot name a class; expected a plain name such as `MyLion`")
    return _File(title, provenance, parts_of(rules, lr, rest_lr), found_rates(*found)).text()


def parts_of(rules: RuleSet, lr: float | None, rest_lr: float | None) -> tuple[Part, ...]:
    """Return the rules of a file, with their default learning rates: one or two."""
    matrix, rest = name_rule(conventional(strip(rules.matrix))), _rest(rules)
    customary = LIBRARY[rules.name].lr if rules.name in LIBRARY else None
    plain = lr is not None or customary is not None
    if lr is None:
        lr = default_lr(matrix) if customary is None else customary
    adjust = None if plain else MATCHED
    if rest is None:
        return (Part(matrix, "_update", lr, adjust),)
    others = name_rule(conventional(rest))
    if rest_lr is None:
        muons = customary is not None and matrix.scale is not Scale.OTHER
        rest_lr = MUON_REST if muons else default_lr(others)
    return (
        Part(matrix, "_update_matrices", lr, adjust),
        Part(others, "_update_others", rest_lr, prefix=_prefix(rest)),
    )


def found_rates(lr: float | None, rest_lr: float | None) -> str:
    """Return the sentence that states the best learning rates of a search."""
    if lr is None:
        return ""
    more = "" if rest_lr is None or rest_lr == lr else f", and {rest_lr:.3g} for the others"
    return (
        f"The search did best with lr {lr:.3g}{more}, in units of the formula, on models of a few "
        "thousand parameters; defaults are for ordinary ones."
    )


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
    found: str

    @property
    def routed(self) -> bool:
        """Whether there are two rules, and parameters are told apart."""
        return len(self.parts) == 2

    @property
    def ratio(self) -> float:
        """The others' default learning rate, relative to the first."""
        return self.parts[-1].lr / self.parts[0].lr if self.parts[0].lr else 1.0

    @property
    def decays(self) -> set[float]:
        """The default weight decays of the rules."""
        return {float(part.named.weight_decay) for part in self.parts}

    def text(self) -> str:
        """Return the source."""
        words = {
            "licence": SPDX,
            "title": f"{self.name}, an optimizer for PyTorch.",
            "origin": self.provenance or "Made by evosearch from the program in its documentation.",
            "name": self.name,
            "key": "(*key, p.shape)" if all(part.code.stacked for part in self.parts) else "key",
        }
        if words["key"] == "key" and any(part.code.stacked for part in self.parts):
            kind = "matrix" if self.parts[0].code.stacked else "not matrix"
            words["key"] = f"(*key, {kind} and p.shape)"  # what is stacked has one shape
        first, last = self.parts[0], self.parts[-1]
        arguments = "params, g, [self.state[p] for p in params], group"
        update = [f"{first.function}({arguments})"]
        refuse = ["_refuse(group, self.defaults)"]
        dense = [
            'name = group["param_names"][i] if "param_names" in group else i',
            'what = f"parameter {name} of shape {tuple(p.shape)}"',
            'raise RuntimeError(f"{what} needs a dense, real gradient")',
        ]
        if self.routed:
            choice = f'{first.function} if group["use_matrix_rule"] else {last.function}'
            update = [f"update = {choice}", f"update({arguments})"]
            refuse = [
                'matrix = group["use_matrix_rule"]',
                "_refuse(group, _MATRIX if matrix else _OTHERS)",
            ]
            dense = ['raise RuntimeError(f"{_name(group, i)} needs a dense, real gradient")']
        blocks = {
            "imports": ["import warnings", ""] if self.routed else [],
            "tables": self._tables(),
            "documentation": self._documentation(),
            "signature": self._signature(),
            "defaults": self._defaults(),
            "methods": self._methods(),
            "update": update,
            "refuse": refuse,
            "dense": dense,
            "states": self._states(),
            "functions": self._functions(),
        }
        return _fill(FILE, words, blocks).rstrip() + "\n"

    def _common(self) -> list[Option]:
        """Return the options that are the same for all rules, and have one default or two."""
        first, last = self.parts[0], self.parts[-1]
        rate = Option("lr", "float | Tensor", repr(first.lr), f"{_LR}.")
        if self.ratio != 1:
            doc = f"{_LR}; by default {first.lr} for matrices and {last.lr} for the others."
            rate = Option("lr", "float | Tensor | None", "None", doc)
        value = float(first.named.weight_decay)
        decay = Option("weight_decay", "float", repr(value), f"{_DECAY}.")
        if len(self.decays) == 2:
            other = float(last.named.weight_decay)
            doc = f"{_DECAY}; by default {value} for matrices and {other} for the others."
            decay = Option("weight_decay", "float | None", "None", doc)
        return [rate, decay]

    def _backup(self) -> list[Option]:
        """Return the options of the second rule, as the constructor calls them."""
        part = self.parts[1]
        named = [Option(part.called(o.name), o.annotation, o.default) for o in part.own]
        named += [Option(part.called(o.name), o.annotation, o.default) for o in part.choices]
        rate = Option(part.called("lr"), "float | Tensor | None", "None")
        return [rate, *named, Option(part.called("weight_decay"), "float | None", "None")]

    def _flags(self) -> list[Option]:
        flags = [
            Option("maximize", "bool", "False"),
            Option("foreach", "bool | None", "None"),
            Option("capturable", "bool", "False"),
        ]
        if self.routed:
            flags[:0] = [
                Option("use_matrix_rule", "bool | None", "None"),
                Option("batch_dims", "int | None", "None"),
            ]
        return flags

    def _signature(self) -> list[str]:
        rate, decay = self._common()
        first = self.parts[0]
        options = [rate, *first.own, decay, *first.choices]
        options += self._backup() if self.routed else []
        lines = [f"{o.name}: {o.annotation} = {o.default}," for o in (*options, *self._flags())]
        by_place = min(4, 1 + len(first.own))  # what may be passed by position, after params
        return [*lines[:by_place], "*,", *lines[by_place:]]

    def _defaults(self) -> list[str]:
        """Return the lines that hand the arguments on."""
        first = self.parts[0]
        flags = {o.name: o.name for o in self._flags()}
        if not self.routed:
            names = ["lr", *(o.name for o in first.own), "weight_decay"]
            names += [o.name for o in first.choices]
            return [
                *_dictionary("options = ", {n: n for n in names}),
                *_dictionary("flags = ", flags),
                "super().__init__(params, {**options, **flags})",
            ]
        own = [o.name for o in (*first.own, *first.choices)]
        backup = {"lr": self.parts[1].called("lr")}
        backup |= {o.name: self.parts[1].called(o.name) for o in self.parts[1].own}
        backup |= {o.name: self.parts[1].called(o.name) for o in self.parts[1].choices}
        backup["weight_decay"] = self.parts[1].called("weight_decay")
        shared = {o.name for o in first.own} & {o.name for o in self.parts[1].own}
        cycled = shared & {"betas", "momentum"}  # what schedulers may cycle, in every group
        general = ["lr", "weight_decay", *sorted(cycled)]
        flags = {o.name: o.name for o in self._flags()[2:]}
        routes = {o.name: o.name for o in self._flags()[:2]}
        return [
            *_dictionary("matrix = ", {n: n for n in own}),
            *_dictionary("backup = ", backup),
            *_dictionary(
                "options = ", {n: n for n in general} | {"matrix": "matrix", "backup": "backup"}
            ),
            *_dictionary("routes = ", routes),
            *_dictionary("flags = ", flags),
            "super().__init__(params, {**options, **routes, **flags})",
            'found = any(group["use_matrix_rule"] for group in self.param_groups)',
            "if use_matrix_rule is None and not found:",
            "    warnings.warn(_NO_MATRIX, stacklevel=2)",
        ]

    def _tables(self) -> list[str]:
        """Return the tables of options, and messages."""
        if not self.routed:
            return []
        first, second = (
            ["lr", *(o.name for o in (*part.own, *part.choices)), "weight_decay"]
            for part in self.parts
        )
        return [
            "",
            *_tuple("_MATRIX = ", [f'"{name}"' for name in first]),
            *_tuple("_OTHERS = ", [f'"{name}"' for name in second]),
            *_tuple("_BACKUP = ", [f'"{self.parts[1].called(name)}"' for name in second]),
            f'_NAMES = {{{_USUAL}, "matrix", "backup"}}',
            "_NAMES |= {*_MATRIX, *_OTHERS, *_BACKUP}",
            *self._differing(),
            '_HEADS = {"head", "heads", "lm_head", "classifier", "score", "wte", "wpe", "pos"}',
            "_UNNAMED = (",
            '    "embeddings and heads cannot be told from hidden matrices by shape: "',
            '    "pass model.named_parameters(), or groups with use_matrix_rule"',
            ")",
            '_NO_MATRIX = "no parameter is a hidden matrix: all get the rule for the others"',
        ]

    def _differing(self) -> list[str]:
        """Return the lines of a table of what the rules have different defaults for."""
        rows: list[dict[str, str]] = [{}, {}]
        for values, part in zip(rows, self.parts if self.routed else (), strict=False):
            if self.ratio != 1:
                values["lr"] = repr(part.lr)
            if len(self.decays) == 2:
                values["weight_decay"] = repr(float(part.named.weight_decay))
        if not rows[0]:
            return []
        texts = ["".join(_dictionary("", values)) for values in rows]
        items = [f"{kind}: {text}" for kind, text in zip((True, False), texts, strict=True)]
        return wrapped("_DEFAULTS = {", items, "}", 0)

    def _ranges(self) -> list[str]:
        """Return the rows of the table that numbers are checked by."""
        number = '0.0, float("inf"), 1'
        rows = {"lr": number}
        rows |= {o.name: o.check for part in self.parts for o in part.own}
        return [
            f'("{name}", {check}),' for name, check in (rows | {"weight_decay": number}).items()
        ]

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
        remark = f"{_REMARK} {self.found}".rstrip()
        if self.routed:
            remark = f"{self._contract()} {remark}"
        lines += ["", *textwrap.wrap(remark, 84), "", "Args:", *entry("params", _PARAMS)]
        rate, decay = self._common()
        for option in (rate, *first.own, decay, *first.choices):
            lines += entry(option.name, option.doc)
        if self.routed:
            lines += entry("use_matrix_rule", _ROUTE)
            lines += entry("batch_dims", _STACK)
        return [*lines, *entry("maximize, foreach, capturable", _FLAGS), '"""']

    def _contract(self) -> str:
        """Return the sentences that say what options mean in a group."""
        prefix = self.parts[1].prefix
        text = _OWN.format(prefix=prefix)
        lr, decay = f"`{prefix}lr`", f"`{prefix}wd`"
        if self.ratio == 1:
            return f"{text}; {lr} and {decay} are by default `lr` and `weight_decay`."
        return f"{text}; {lr} is by default `lr` times {self.ratio:.3g}, {decay} `weight_decay`."

    def _methods(self) -> list[str]:
        counters = []
        if any(part.counts for part in self.parts):
            counters = [
                "for values in self.state.values():",
                '    if "step" in values:  # which was a number once',
                '        values["step"] = torch.as_tensor(values["step"], dtype=torch.float32)',
            ]
        share: list[str] = []
        if self.routed and self.ratio != 1:
            share = [
                'lr, decay = _share(said, backup["lr"]), said.get("weight_decay")',
                'said = {"lr": lr, "weight_decay": decay}',
                'general = {**general, "lr": _share(general, own["lr"])}',
            ]
        elif self.routed:
            share = ['said = {k: said.get(k) for k in ("lr", "weight_decay")}']
        last = ["places.append(_DEFAULTS[matrix])"] if self._differing() else []
        expected = self._expected()
        blocks = {"counters": counters, "share": share, "last": last, "expected": expected}
        numbers = [len(part.named.decays) for part in self.parts]
        number = f", {numbers[0]}" if max(numbers) else ""
        if max(numbers) and numbers[0] != numbers[-1]:
            number = f", {numbers[0]} if matrix else {numbers[1]}"
        text = TWO_RULES if self.routed else ONE_RULE
        return _fill(text.rstrip(), {"number": number}, blocks).split("\n")

    def _states(self) -> list[str]:
        zeros = [_indented(part.zeros()) for part in self.parts]
        if self.routed and zeros[0] != zeros[1]:
            return ["if not state and matrix:", *zeros[0], "elif not state:", *zeros[1]]
        return ["if not state:", *zeros[0]]

    def _functions(self) -> list[str]:
        pieces = ["\n".join(part.source(alone=not self.routed)) for part in self.parts]
        kernels = {k for part in self.parts for k in part.code.kernels}
        names = with_called(kernels | {"kept" for part in self.parts if part.named.keeps})
        pieces += map(source_of, names)
        calls = rf"(?<![\w.\"])({'|'.join(names) or '(?!)'})(?=\(|, )"
        pieces = [re.sub(calls, r"_\1", piece) for piece in pieces]
        words = self._words()
        chosen = {name.rstrip("/"): text for name, text in FUNCTIONS.items()}
        chosen["_matrix"] = FUNCTIONS["_matrix" if self.routed else "_matrix/"]
        chosen["_share"] = _SHARE
        for op in OPS.values():
            if op.keeps:
                size = OPS[op.keeps].torch.format("x")
                chosen[f"_{op.keeps}"] = _fill(_SIZE, {"name": op.keeps, "size": size}, {})
        named = dict.fromkeys(o.name for part in self.parts for o in part.choices)
        choices = [line for name in named for line in _CHOICES[name]]
        blocks = {"choices": choices, "ranges": self._ranges(), "descent": self._descent()}
        blocks["known"] = [] if self.routed else [f"known = {{{_USUAL}}}"]
        texts = {n: _fill(t, words, blocks) for n, t in chosen.items()}
        used: set[str] = set()
        called = [*self._methods(), *self._states(), "_refuse(", *pieces]
        called += ["_is_matrix(", "_name("] if self.routed else []
        while called:
            found = {w for text in called for w in re.findall(r"\b_\w+(?=\()", text)} - used
            used |= found
            called = [texts[name] for name in found if name in texts]
        pieces += [text for name, text in texts.items() if name in used]
        return "\n\n\n".join(piece.rstrip() for piece in pieces).split("\n")

    def _words(self) -> dict[str, str]:
        """Return what the functions' texts leave open."""
        scale = "max(1.0, rows / max(1, cols)) ** 0.5"
        if self.parts[0].named.scale is Scale.NONE:
            scale = "1.0"
        decays = ", decays" if any(part.named.decays for part in self.parts) else ""
        return {
            "decays": decays,
            "scale": scale,
            "ratio": f"{self.ratio:.6g}",
            "rate": self.parts[-1].called("lr"),
            "names": "_NAMES" if self.routed else "known",
            "divisor": {0: "", 1: ", d=None", 2: ", d"}[self._quotients],
            "moved": "u / d" if self._quotients else "u",
        }

    @property
    def _quotients(self) -> int:
        """How many of two rules leave the division to the call that moves parameters."""
        return sum(part.code.quotient for part in self.parts)

    def _descent(self) -> list[str]:
        """Return the lines that move parameters by either rule's update."""
        if self._quotients != 1:
            return descent("u", "d" if self._quotients else "")
        lines = [*descent("u", "")[:-1], "rate = -1 if isinstance(lr, Tensor) else -lr"]
        lines += ["if d is None:", "    torch._foreach_add_(params, u, alpha=rate)"]
        return [*lines, "else:", "    torch._foreach_addcdiv_(params, u, d, value=rate)"]

    def _expected(self) -> list[str]:
        """Return the lines that find the names of a group's states."""
        sets = ["{" + ", ".join(f'"{s}"' for s in part.states) + "}" for part in self.parts]
        if not self.routed or sets[0] == sets[1]:
            return _set(sets[0], 12)
        line = f'expected = {sets[0]} if group.get("use_matrix_rule") else {sets[1]}'
        if len(line) + 12 <= WIDTH:
            return [line]
        return [
            *_set(sets[1], 12),
            'if group.get("use_matrix_rule"):',
            *(f"    {line}" for line in _set(sets[0], 16)),
        ]


_USUAL: Final = '"betas", "momentum", "eps", "alpha", "nesterov"'
"""Options that the field knows, and that mean nothing where a rule has them not."""

_CHOICES: Final = {
    "ns_dtype": (
        'if type(options.get("ns_dtype")) not in (torch.dtype, type(None)):',
        """    raise ValueError(f"ns_dtype must be a dtype, found {options['ns_dtype']!r}")""",
    ),
    "adjust_lr_fn": (
        'if options.get("adjust_lr_fn") not in (None, "original", "match_rms_adamw"):',
        """    raise ValueError(f"unknown adjust_lr_fn {options['adjust_lr_fn']!r}")""",
    ),
}
"""How options are checked that are no numbers."""

_SIZE: Final = '''\
def _$name(p, group):
    """Return the sizes that a parameter keeps while it moves."""
    x = _whole(p, group)
    return $size
'''

_SHARE: Final = '''\
def _share(options, exact):
    """Return the others' rate in a mixed group, in proportion to the default rates."""
    lr = options.get("lr")
    if lr is None or exact is not None:  # which counts
        return None
    if torch.is_tensor(lr):
        raise ValueError("beside an lr that is a tensor, say $rate as well")
    return $ratio * lr
'''


def _dictionary(start: str, items: dict[str, str]) -> list[str]:
    """Return a dictionary in one line if it fits, else with one item a line."""
    return wrapped(start + "{", [f'"{name}": {value}' for name, value in items.items()], "}", 8)


def _tuple(start: str, items: list[str]) -> list[str]:
    """Return a tuple in one line if it fits, else with one item a line."""
    return wrapped(start + "(", items, ")", 0)


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


def _set(text: str, indent: int) -> list[str]:
    """Return the lines that name a set as what is expected."""
    items = text.removeprefix("{").removesuffix("}").split(", ") if text.startswith("{") else []
    if not items:
        return [f"expected = {text}"]
    return wrapped("expected = {", items, "}", indent)
