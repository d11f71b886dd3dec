"""A rule set as an optax gradient transformation in one file that imports jax and optax alone."""

from __future__ import annotations

import keyword
import re
import textwrap
from typing import Final

from evosearch.errors import UsageError
from evosearch.export.formula import formula
from evosearch.export.hyper import ITERATIONS, NamedRule, name_constants
from evosearch.export.jax_ops import JAX, kernels_in
from evosearch.export.licence import SPDX
from evosearch.export.part import Part, entry, name_rule, renamed, wrapped
from evosearch.export.torch_file import class_name, customary_lr
from evosearch.language.known import rest_of
from evosearch.language.liveness import strip
from evosearch.language.rule import Rule, RuleSet
from primitives.shape import FULL

__all__ = ["export_optax"]

_FILE: Final = '''\
# {licence}
"""{title}, an optimizer for optax.

{origin}
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

__all__ = ["{name}"]


class {title}State(NamedTuple):
    """The number of steps, and for each parameter a tuple of its states."""

    count: jax.Array
    states: Any


def {name}(
    learning_rate: optax.ScalarOrSchedule = {lr},
{signature}
) -> optax.GradientTransformationExtraArgs:
    """Return the optimizer.

{documentation}
    """

    def init(params):
        states = jax.tree.map(_start, params)
        return {title}State(jnp.zeros((), jnp.int32), states)

    def update(grads, state, params=None):
        if params is None:
            raise ValueError(optax.NO_PARAMS_MSG)
        t = state.count + 1
        gradients, tree = jax.tree.flatten(grads)
        states = tree.flatten_up_to(state.states)
        results = []
        for w, g, s in zip(tree.flatten_up_to(params), gradients, states, strict=True):
{apply}
        updates = tree.unflatten([u for u, _ in results])
        return updates, {title}State(t, tree.unflatten([s for _, s in results]))

    direction = optax.GradientTransformation(init, update)
    descent = optax.scale_by_learning_rate(learning_rate)
    return optax.chain(direction, descent)


{functions}
'''

_MATRIX: Final = '''\
def _matrix(x):
    """Return x as a matrix with a row for each output: the last axis, as in flax."""
    return x.reshape(-1, x.shape[-1]).T if x.ndim > 1 else x.reshape(1, -1)


def _like(x, like):
    """Undo `_matrix`."""
    return x.T.reshape(like.shape) if like.ndim > 1 else x.reshape(like.shape)
'''

_IS_MATRIX: Final = '''\
def _is_matrix(w):
    """Whether the rule for hidden matrices applies."""
    return w.ndim >= 2 and max(w.shape[0], w.shape[-1]) < 10_000
'''

_ROUTE: Final = (
    "Hidden matrices are arrays of two or more dimensions, the first and the last below 10,000; "
    "the last is the outputs, as in flax. Use optax.partition to choose by name."
)


def export_optax(
    rules: RuleSet,
    *,
    name: str | None = None,
    lr: float | None = None,
    rest_lr: float | None = None,
    provenance: str = "",
) -> str:
    """Return the source of a module that defines the rule set for optax.

    The arguments are those of `export`; the function's name is that of the rule by default.

    Raises:
        UsageError: the name cannot name a function.
    """
    function = name or rules.name
    if not function.isidentifier() or keyword.iskeyword(function):
        raise UsageError(f"`{function}` cannot name a function; expected a plain name")
    lr = customary_lr(rules.name) if lr is None else lr
    matrix, rest = strip(rules.matrix), strip(rest_of(rules))
    if rest == matrix.renamed(rest.name):
        parts = [Part(_named(matrix), "_update", lr)]
    else:
        other = Part(_named(rest), "_rest_update", 3e-4 if rest_lr is None else rest_lr, "rest_")
        parts = [Part(_named(matrix), "_matrix_update", lr), other]
    text = _FILE.format(
        licence=SPDX,
        title=class_name(function),
        name=function,
        origin=provenance or "Made by evosearch from the program in its documentation.",
        lr=lr,
        signature="\n".join(f"    {line}" for line in _signature(parts)),
        documentation="\n".join(f"    {line}".rstrip() for line in _documentation(parts)),
        apply="\n".join(f"            {line}" for line in _apply(parts)),
        functions="\n\n\n".join(_functions(parts)),
    )
    kernels = kernels_in(text)
    return "\n\n\n".join([text.rstrip(), *kernels]) + "\n"


def _named(rule: Rule) -> NamedRule:
    """Name the constants, and variables that are called like something else in the file anew."""
    named = name_rule(rule)
    taken = {"jax", "jnp", "optax", "states", "t", "max", *(h.name for h in named.hypers)}
    variables = {node.name for node in named.flow.nodes}
    return name_constants(renamed(rule)) if variables & taken else named


def _options(part: Part) -> list[tuple[str, str, str]]:
    """Return (name, annotation, default) of a rule's arguments, the learning rate left out."""
    return [
        (o.name, o.annotation, o.default)
        for o in part.options[1:]
        if not o.name.endswith("ns_dtype")
    ]


def _signature(parts: list[Part]) -> list[str]:
    lines = [f"{n}: {kind} = {default}," for part in parts for n, kind, default in _options(part)]
    if len(parts) == 2:
        lines.append(f"rest_lr_ratio: float = {parts[1].lr / parts[0].lr:.6g},")
    return lines


def _documentation(parts: list[Part]) -> list[str]:
    lines: list[str] = []
    heads = ["A parameter w with gradient g, and states that are 0 at first, moves by"]
    if len(parts) == 2:
        heads = ["A hidden matrix w with gradient g moves by", "Any other parameter moves by"]
    for head, part in zip(heads, parts, strict=True):
        rate = "learning_rate * rest_lr_ratio" if part.prefix else "learning_rate"
        last = f"w = w - {rate} * (u + {part.decay} * w)"
        lines += [head, "", *(f"    {x}" for x in [*formula(part.named), last]), ""]
    if len(parts) == 2:
        lines += [*textwrap.wrap(_ROUTE, 80), ""]
    lines += ["Args:", "    learning_rate: a number or a schedule."]
    for part in parts:
        docs = {o.name: o.doc for o in part.options}
        lines += [line for name, _, _ in _options(part) for line in entry(name, docs[name])]
    if len(parts) == 2:
        lines += entry("rest_lr_ratio", "learning rate of the other parameters, relative to this.")
    return lines


def _viewed(part: Part) -> bool:
    return not part.named.flow.rule.elementwise


def _apply(parts: list[Part]) -> list[str]:
    if len(parts) == 1:
        return _advance(parts[0])
    first, second = ([f"    {x}" for x in _advance(part)] for part in parts)
    return ["if _is_matrix(w):", *first, "else:", *second]


def _advance(part: Part) -> list[str]:
    decays = [h.name for h in part.named.decays]
    names = [h.name for h in part.named.hypers]
    hypers = [f"betas[{decays.index(n)}]" if n in decays else n for n in names]
    view = "_matrix({})" if _viewed(part) else "{}"
    words = {"w": view.format("w"), "g": view.format("g"), "t": "t", "states": "s"}
    arguments = [words[name] for name in _inputs(part)]
    arguments += [f"{part.prefix}{hyper}" for hyper in hypers]
    u = "_like(u, w)" if _viewed(part) else "u"
    step = f"{u} + {part.decay} * w"
    return [
        *wrapped(f"u, new = {part.function}(", arguments, ")", 16),
        f"results.append((rest_lr_ratio * ({step}), new))"
        if part.prefix
        else f"results.append(({step}, new))",
    ]


def _functions(parts: list[Part]) -> list[str]:
    return [_start(parts), *(_rule(part) for part in parts), *_helpers(parts)]


def _helpers(parts: list[Part]) -> list[str]:
    helpers = [_IS_MATRIX.rstrip()] if len(parts) == 2 else []
    return [*helpers, _MATRIX.rstrip()] if any(map(_viewed, parts)) else helpers


def _start(parts: list[Part]) -> str:
    lines = ["def _start(w):", '    """Return a parameter\'s states at the start."""']
    if len(parts) == 2:
        lines += ["    if _is_matrix(w):", *(f"        {x}" for x in _zeros(parts[0]))]
    lines += [f"    {x}" for x in _zeros(parts[-1])]
    return "\n".join(lines)


def _zeros(part: Part) -> list[str]:
    states = part.named.flow.rule.states
    if not states:
        return ["return ()"]
    sizes = {"m": "rows", "n": "cols", "1": "1"}
    shapes = [f"({sizes[s.shape.rows]}, {sizes[s.shape.cols]})" for s in states]
    zeros = [f"jnp.zeros({shape}, w.dtype)" for shape in shapes]
    if not _viewed(part):
        zeros = ["jnp.zeros_like(w)"] * len(states)
    elif all(state.shape == FULL for state in states):
        zeros = ["jnp.zeros_like(_matrix(w))"] * len(states)
    lines = wrapped("return (", zeros, ")", 12) if len(zeros) > 1 else [f"return ({zeros[0]},)"]
    used = [n for n in ("rows", "cols") if any(n in z for z in zeros)]
    if not used:
        return lines
    sides = " ".join(n if n in used else f"_{n}" for n in ("rows", "cols")).replace(" ", ", ")
    return [f"{sides} = _matrix(w).shape", *lines]


def _rule(part: Part) -> str:
    named = part.named
    hypers = [h.name for h in named.hypers]
    head = wrapped(f"def {part.function}(", [*_inputs(part), *hypers], "):", 0)
    lines = ['"""Return the update and the new states."""', *_body(part)]
    return "\n".join([*head, *(f"    {line}" for line in lines)])


def _inputs(part: Part) -> list[str]:
    """Return what the rule's function reads besides its hyperparameters."""
    words = set(re.findall(r"\w+", "\n".join(_body(part))))
    return [name for name in ("w", "g", "t", "states") if name in words]


def _body(part: Part) -> list[str]:
    rule = part.named.flow.rule
    states = [state.name for state in rule.states]
    packed = f"({', '.join(states)}{',' * (len(states) == 1)})"
    lines = [f"{packed if len(states) == 1 else packed[1:-1]} = states"] if states else []
    for i, statement in enumerate(rule.body):
        value = _call(part.named, i)
        if statement.op == "step" and not _viewed(part):
            value = "jnp.asarray(t, g.dtype)"
        lines.append(f"{statement.target} = {value}")
    return [*lines, f"return {rule.update}, {packed}"]


def _call(named: NamedRule, statement: int) -> str:
    node = next(n for n in named.flow.computed if n.statement == statement)
    source = named.flow.rule.body[statement]
    op = node.op
    assert op is not None
    words = [
        a if isinstance(a, str) else str(named.word(node, i)) for i, a in enumerate(source.args)
    ]
    template = JAX[op.name]
    if op.name in ITERATIONS and named.iterated:
        template = template.replace(str(ITERATIONS[op.name]), "ns_steps")
    rest = str(named.word(node, op.arity).other) if op.name == "lerp" else ""
    if op.name == "lerp":
        words[2], rest = (f"({x})" if " " in x else x for x in (words[2], rest))
    return template.format(*words, rest=rest)
