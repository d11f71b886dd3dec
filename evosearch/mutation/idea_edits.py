"""Edits that carry ideas: several statements that mean something together, put in at one site.

What they put in comes from the space's donors, from the rule itself, or from the shapes that values
can have; none of them names an optimizer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from evosearch.language.check import infer
from evosearch.language.rule import Rule, RuleSet
from evosearch.mutation.constants import perturb
from evosearch.mutation.fragment import Fragment, cut, graft, slices
from evosearch.mutation.growth import grown
from evosearch.mutation.rng import Rng
from evosearch.mutation.site import Site, draw_site, read_at, visible
from evosearch.mutation.space import Space
from evosearch.mutation.statement_edits import places, reset
from primitives.shape import FULL

__all__ = ["duplicate", "graft_motif", "graft_slice", "grow", "recombined"]

_UPDATE: Final = 0.4
"""How often an idea is put in where the update is returned, and not at any site."""
_LASTING: Final = 0.3
"""How often what a graft keeps from step to step goes on reading the gradient."""
_OTHER: Final = 0.25
"""How often an input is another variable than the one at the site."""
_MIRRORED: Final = 0.4
"""How often a growth, or a copy, is followed by its mirror image."""


def graft_slice(rule: Rule, space: Space, rng: Rng) -> Rule | None:
    """Put in a slice of a donor, its gradient replaced by a value of the rule."""
    site = _site(rule, rng)
    value, shapes = read_at(rule, site), visible(rule, site[0])
    pool = space.slices(shapes[value], rng) if isinstance(value, str) else ()
    return _slice_at(rule, site, rng.pick(pool), rng) if pool else None


def recombined(first: RuleSet, second: RuleSet, space: Space, rng: Rng) -> RuleSet | None:
    """Return the first with a slice of the second's rule for matrices.

    None where the dice asked for something that is illegal or beyond the space, or needs matrices
    although the rule serves all parameters.
    """
    rule = first.matrix
    site = _site(rule, rng)
    value, shapes = read_at(rule, site), visible(rule, site[0])
    pool = [f for f in slices(second.matrix) if shapes.get(str(value)) == f.shape]
    child = _slice_at(rule, site, rng.pick(pool), rng) if pool else None
    if child is None or infer(child) is None or not space.holds(child):
        return None
    if first.rest is None and not child.rank_free:
        return None
    return replace(first, matrix=child)


def graft_motif(rule: Rule, space: Space, rng: Rng) -> Rule | None:
    """Put in a motif of the donors between a value and one of its uses."""
    site = _site(rule, rng)
    value, shapes = read_at(rule, site), visible(rule, site[0])
    pool = space.motifs(shapes[value], rng) if isinstance(value, str) else ()
    return _bound(rule, site, rng.pick(pool), rng) if pool else None


def grow(rule: Rule, space: Space, rng: Rng) -> Rule | None:
    """Make a value of another shape of a value, keep it maybe, and let it act on the value."""
    site = _site(rule, rng)
    value = read_at(rule, site)
    if not isinstance(value, str):
        return None
    growth = grown(visible(rule, site[0])[value], space, rng)
    if growth is None:
        return None
    child = _bound(rule, site, growth, rng)
    if child is None or not rng.chance(_MIRRORED):
        return child
    return _after(rule, child, site, growth.mirrored, rng) or child


def duplicate(rule: Rule, space: Space, rng: Rng) -> Rule | None:
    """Put in a copy of a slice of the rule itself, changed: mirrored, or with other constants."""
    del space
    if not rule.body:
        return None
    site = _site(rule, rng)
    value, shapes = read_at(rule, site), visible(rule, site[0])
    fragment: Fragment | None = cut(rule, rng.below(len(rule.body)))
    assert fragment is not None
    if fragment.shape != shapes.get(str(value)):
        return None
    fragment = fragment.mirrored if rng.chance(_MIRRORED) else _retuned(fragment, rng)
    return None if fragment is None else _slice_at(rule, site, fragment, rng)


def _site(rule: Rule, rng: Rng) -> Site:
    """Draw a site, the update more often than others: most ideas are about it."""
    return (len(rule.body), 0) if rng.chance(_UPDATE) else draw_site(rule, rng)


def _slice_at(rule: Rule, site: Site, fragment: Fragment, rng: Rng) -> Rule | None:
    """Put in a slice whose gradient is the value at the site, or another of its shape."""
    if not any(i.name == "g" for i in fragment.inputs):
        return None
    value, shapes = read_at(rule, site), visible(rule, site[0])
    if shapes.get(str(value)) != FULL or rng.chance(_OTHER):
        value = rng.pick([name for name, shape in shapes.items() if shape == FULL])
    inputs = {i.name: i.name for i in fragment.inputs} | {"g": str(value)}
    kept = ("g",) if rng.chance(_LASTING) else ()
    return graft(rule, site, fragment, inputs, kept)


def _bound(rule: Rule, site: Site, fragment: Fragment, rng: Rng) -> Rule | None:
    """Put in a fragment, one of whose inputs is the value at the site, the others drawn."""
    value, shapes = read_at(rule, site), visible(rule, site[0])
    fitting = [i.name for i in fragment.inputs if i.shape == shapes[str(value)]]
    if not fitting:
        return None
    here, inputs = rng.pick(fitting), dict[str, str]()
    for i in fragment.inputs:
        if i.name == here or (i.shape == shapes[str(value)] and not rng.chance(_OTHER)):
            inputs[i.name] = str(value)
        else:
            names = [name for name, shape in shapes.items() if shape == i.shape]
            if not names:
                return None
            inputs[i.name] = rng.pick(names)
    return graft(rule, site, fragment, inputs)


def _after(
    before: Rule, rule: Rule, site: Site, fragment: Fragment | None, rng: Rng
) -> Rule | None:
    """Put in a second fragment between what was put in at a site and its use there."""
    if fragment is None or infer(rule) is None:
        return None
    moved = site[0] + len(rule.body) - len(before.body)
    return _bound(rule, (moved, site[1]), fragment, rng)


def _retuned(fragment: Fragment, rng: Rng) -> Fragment:
    """Return a fragment with one constant changed, if it has any."""
    rule = Rule("copy", fragment.states, fragment.body, fragment.result)
    found = places(rule)
    return (
        replace(fragment, body=reset(rule, rng.pick(found), perturb, rng).body)
        if found
        else fragment
    )
