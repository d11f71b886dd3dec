"""The table of edits: every way in which a rule may change, and how often it is drawn.

An edit takes (rule, space, rng) and returns a rule, or None where the dice asked for something
impossible; `mutate` judges what comes out and throws again until it is legal. The first eight are
drawn where a space names none, so that histories stay; the others where it names them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

from evosearch.language.rule import Rule
from evosearch.mutation import idea_edits, statement_edits
from evosearch.mutation.rng import Rng
from evosearch.mutation.space import Space

__all__ = ["EDITS", "Edit", "EditRow", "menu"]

Edit = Callable[[Rule, Space, Rng], Rule | None]


@dataclass(frozen=True)
class EditRow:
    """An edit, by which its children are named, and how often it is drawn beside the others."""

    edit: Edit
    frequency: float
    drawn: bool = True
    """Whether it is drawn where the space does not say which edits it has."""

    @property
    def name(self) -> str:
        """What lineages and settings call it."""
        return self.edit.__name__

    @property
    def doc(self) -> str:
        """What it does."""
        return (self.edit.__doc__ or "").partition("\n")[0]


_ROWS: Final = (
    EditRow(statement_edits.insert, 3.0),
    EditRow(statement_edits.insert_free, 1.0),
    EditRow(statement_edits.delete, 3.0),
    EditRow(statement_edits.replace_op, 1.5),
    EditRow(statement_edits.rewire, 2.0),
    EditRow(statement_edits.change_constant, 1.5),
    EditRow(statement_edits.move, 1.0),
    EditRow(statement_edits.add_state, 1.0),
    EditRow(statement_edits.exchange_op, 1.0, drawn=False),
    EditRow(statement_edits.swap_operands, 0.5, drawn=False),
    EditRow(statement_edits.set_number, 0.5, drawn=False),
    EditRow(idea_edits.graft_slice, 3.0, drawn=False),
    EditRow(idea_edits.graft_motif, 1.5, drawn=False),
    EditRow(idea_edits.grow, 2.5, drawn=False),
    EditRow(idea_edits.duplicate, 1.5, drawn=False),
)

EDITS: Final = {row.name: row for row in _ROWS}
"""The edits by name; insertion and deletion of statements balance."""


@cache
def menu(
    names: tuple[str, ...], frequencies: tuple[tuple[str, float], ...]
) -> tuple[tuple[EditRow, ...], tuple[float, ...]]:
    """Return the edits of a space with their cumulative frequencies.

    Args:
        names: Which ones; empty: those that are drawn by default.
        frequencies: By name, where it is not the table's.
    """
    own = dict(frequencies)
    rows = tuple(row for row in _ROWS if row.name in names or (row.drawn and not names))
    total, bounds = 0.0, list[float]()
    for row in rows:
        total += own.get(row.name, row.frequency)
        bounds.append(total)
    return rows, tuple(bounds)
