"""A rule set as an optax gradient transformation in one file that imports jax and optax alone."""

from __future__ import annotations

import keyword
import re
import textwrap
from dataclasses import replace
from typing import Final

from evosearch.errors import UsageError
from evosearch.export.formula import formula
from evosearch.export.hyper import ITERATIONS, NamedRule, Scale, name_constants
from evosearch.export.jax_ops import JAX, kernels_in
from evosearch.export.licence import SPDX
from evosearch.export.part import Option, Part, entry, landing, renamed, wrapped
from evosearch.export.torch_file import class_name, found_rates, parts_of
from evosearch.language.rule import RuleSet
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
{checks}

    def init(params):
        states = jax.tree.map(_start, params)
        return {title}State(jnp.zeros((), jnp.int32), states)

    def update(grads, state, params=None, **extra):
        del extra
        if params is None:
            raise ValueError("this optimizer needs the parameters: update(grads, state, params)")
{rates}
        t = state.count + 1
        gradients, tree = jax.tree.flatten(grads)
        states = tree.flatten_up_to(state.states)
        results = []
        for w, g, s in zip(tree.flatten_up_to(params), gradients, states, strict=True):
{apply}
        updates = tree.unflatten([u for u, _ in results])
        return updates, {title}State(t, tree.unflatten([s for _, s in results]))

    return optax.GradientTransformationExtraArgs(init, update)


{functions}
'''

_CHECK: Final = '''\
def _check(name, value, low, high, count=1):
    """Raise ValueError for a number out of its range; one that is traced has no value yet."""
    numbers = value if isinstance(value, tuple | list) else (value,)
    fits = len(numbers) == count and not any(isinstance(x, str) for x in numbers)
    known = [x for x in numbers if not isinstance(x, jax.Array)]
    if not (fits and all(low <= x < high for x in known)):
        raise ValueError(f"{name} must be in [{low}, {high}), found {value!r}")


def _rate(rate, count):
    """Return a learning rate at a step."""
    return rate(count) if callable(rate) else rate
'''

_MATRIX: Final = '''\
def _matrix(x):
    """Return x as a matrix with a row for each output: the last axis, as in flax."""
    return x.reshape(-1, x.shape[-1]).T if x.ndim > 1 else x.reshape(1, -1)


def _like(x, like):
    """Undo `_matrix`."""
    return x.T.reshape(like.shape) if like.ndim > 1 else x.reshape(like.shape)
'''

_SCALE: Final = '''\
def _scale(adjust_lr_fn, rows, cols):
    """Return the factor of an orthogonalized update."""
    if adjust_lr_fn == "match_rms_adamw":
        return 0.2 * max(rows, cols) ** 0.5
    return {scale}
'''

_IS_MATRIX: Final = '''\
def _is_matrix(w):
    """Whether the rule for hidden matrices applies."""
    if w.ndim < 2:
        return False
    rows, cols = _matrix(w).shape
    image = w.ndim > 3 and w.shape[-2] < 5  # or a depthwise convolution
    return min(rows, cols) > 1 and max(rows, w.shape[0]) < 10_000 and not image
'''

_ROUTE: Final = (
    "Hidden matrices are arrays of two or more dimensions without a side of 1 or of 10,000 and "
    "more, convolutions of images excepted; the last axis is the outputs, as in flax. Embeddings "
    "and heads cannot be told from them by shape: use optax.partition to choose by name."
)


def export_optax(
    rules: RuleSet,
    *,
    name: str | None = None,
    lr: float | None = None,
    rest_lr: float | None = None,
    found: tuple[float | None, float | None] = (None, None),
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
    parts = [replace(part, named=_named(part)) for part in parts_of(rules, lr, rest_lr)]
    text = _FILE.format(
        licence=SPDX,
        title=class_name(function),
        name=function,
        origin=provenance or "Made by evosearch from the program in its documentation.",
        lr=parts[0].lr,
        signature="\n".join(f"    {line}" for line in _signature(parts)),
        documentation="\n".join(
            f"    {line}".rstrip() for line in _documentation(parts, found_rates(*found))
        ),
        checks="\n".join(f"    {line}" for line in _checks(parts)),
        rates="\n".join(f"        {line}" for line in _rates(parts)),
        apply="\n".join(f"            {line}" for line in _apply(parts)),
        functions="\n\n\n".join(_functions(parts)),
    )
    kernels = kernels_in(text)
    return "\n\n\n".join([text.rstrip(), *kernels]) + "\n"


def _named(part: Part) -> NamedRule:
    """Name variables anew that are called like something else in the file."""
    named = part.named
    taken = {"jax", "jnp", "optax", "states", "t", "max", *(h.name for h in named.hypers)}
    variables = {node.name for node in named.flow.nodes}
    if not variables & taken:
        return named
    return replace(
        name_constants(renamed(named.flow.rule)),
        weight_decay=named.weight_decay,
        scale=named.scale,
        keeps=named.keeps,
    )


def _choices(part: Part) -> list[Option]:
    return [option for option in part.choices if option.name != "ns_dtype"]


def _signature(parts: list[Part]) -> list[str]:
    lines = []
    for part in parts:
        if part.prefix:
            rate = part.called("learning_rate")
            lines.append(f"{rate}: optax.ScalarOrSchedule | None = None,")
        for o in (*part.own, *_choices(part)):
            lines.append(f"{part.called(o.name)}: {o.annotation} = {o.default},")
        decay = f"{float(part.named.weight_decay)!r}"
        kind = "float"
        if part.prefix and part.named.weight_decay == parts[0].named.weight_decay:
            kind, decay = "float | None", "None"
        lines.append(f"{part.called('weight_decay')}: {kind} = {decay},")
    return lines


def _checks(parts: list[Part]) -> list[str]:
    """Return the lines that refuse values out of their ranges."""
    lines = []
    for part in parts:
        for option in part.own:
            name = part.called(option.name)
            low, high, count = option.check.split(", ")
            count = f", {len(part.named.decays)}" if count == "decays" else ""
            lines.append(f'_check("{name}", {name}, {low}, {high}{count})')
        rate, decay = part.called("learning_rate"), part.called("weight_decay")
        if part.prefix:
            same = part.named.weight_decay == parts[0].named.weight_decay
            lines += [f"{decay} = weight_decay if {decay} is None else {decay}"] if same else []
        else:
            lines.append(
                f'_check("{rate}", 0.0 if callable({rate}) else {rate}, 0.0, float("inf"))'
            )
        lines.append(f'_check("{decay}", {decay}, 0.0, float("inf"))')
        for option in _choices(part):
            name = part.called(option.name)
            lines += [
                f'if {name} not in (None, "original", "match_rms_adamw"):',
                f'    raise ValueError(f"unknown {name} {{{name}!r}}")',
            ]
    return lines


def _rates(parts: list[Part]) -> list[str]:
    """Return the lines that find the learning rates of a step."""
    lines = ["rate = _rate(learning_rate, state.count)"]
    if len(parts) == 2:
        name, ratio = parts[1].called("learning_rate"), parts[1].lr / parts[0].lr
        times = "rate" if ratio == 1 else f"{ratio:.6g} * rate"
        lines += [f"others = {times}", f"if {name} is not None:"]
        lines.append(f"    others = _rate({name}, state.count)")
    return lines


def _documentation(parts: list[Part], found: str) -> list[str]:
    lines: list[str] = []
    heads = ["A parameter w with gradient g, and states that are 0 at first, moves by"]
    if len(parts) == 2:
        heads = ["A hidden matrix w with gradient g moves by", "Any other parameter moves by"]
    for head, part in zip(heads, parts, strict=True):
        scale = "scale * " if part.named.scale is not Scale.OTHER else ""
        rate, decay = part.called("learning_rate"), part.called("weight_decay")
        last = landing(part.named, f"w - {rate} * ({scale}u + {decay} * w)")
        lines += [head, "", *(f"    {x}" for x in [*formula(part.named), *last]), ""]
    if len(parts) == 2:
        lines += [*textwrap.wrap(_ROUTE, 80), ""]
    lines += [*textwrap.wrap(found, 80), ""] if found else []
    lines += ["Args:", "    learning_rate: a number or a schedule."]
    first = parts[0]
    for option in (*first.own, *_choices(first)):
        lines += entry(option.name, option.doc)
    lines += entry("weight_decay", "decoupled weight decay, per step and unit of learning rate.")
    if len(parts) == 2:
        rate, ratio = parts[1].called("learning_rate"), parts[1].lr / first.lr
        text = f"the same for the other parameters; {rate} is by default learning_rate"
        lines += entry(f"{parts[1].prefix}*", f"{text} times {ratio:.6g}.")
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
    hypers = [
        f"{part.called(part.named.together)}[{decays.index(n)}]" if n in decays else part.called(n)
        for n in names
    ]
    view = "_matrix({})" if _viewed(part) else "{}"
    words = {"w": view.format("w"), "g": view.format("g"), "t": "t", "states": "s"}
    arguments = [words[name] for name in _inputs(part)] + hypers
    lines = wrapped(f"u, new = {part.function}(", arguments, ")", 16)
    if part.named.scale is not Scale.OTHER:
        lines.append(f"u = u * _scale({part.called('adjust_lr_fn')}, *u.shape)")
    u = "_like(u, w)" if _viewed(part) else "u"
    rate = "others" if part.prefix else "rate"
    step = f"-{rate} * ({u} + {part.called('weight_decay')} * w)"
    if part.named.keeps:
        lines += wrapped("v = _matrix(", [f"w + {step}"], ")", 16)
        words = [JAX[part.named.keeps].format(x) for x in ("_matrix(w)", "v")]
        lines += wrapped("v = kept(", ["v", *words], ")", 16)
        step = "_like(v, w) - w"
    return [*lines, f"results.append(({step}, new))"]


def _functions(parts: list[Part]) -> list[str]:
    return [_start(parts), *(_rule(part) for part in parts), *_helpers(parts)]


def _helpers(parts: list[Part]) -> list[str]:
    helpers = [_CHECK.rstrip()]
    helpers += [_IS_MATRIX.rstrip()] if len(parts) == 2 else []
    views = any(_viewed(part) or part.named.keeps for part in parts)
    helpers += [_MATRIX.rstrip()] if len(parts) == 2 or views else []
    for part in parts:
        if part.named.scale is not Scale.OTHER:
            spectral = part.named.scale is Scale.SPECTRAL
            scale = "max(1.0, rows / max(1, cols)) ** 0.5" if spectral else "1.0"
            helpers.append(_SCALE.format(scale=scale).rstrip())
    return list(dict.fromkeys(helpers))


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
        a if isinstance(a, str) else named.word(node, i).atom for i, a in enumerate(source.args)
    ]
    template = JAX[op.name]
    if op.name in ITERATIONS and named.iterated:
        template = template.replace(str(ITERATIONS[op.name]), "ns_steps")
    rest = named.word(node, op.arity).other.atom if op.name == "lerp" else ""
    return template.format(*words, rest=rest)
