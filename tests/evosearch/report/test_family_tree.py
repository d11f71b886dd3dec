"""The family tree: nobody is drawn without a parent, and what is left out is said truly."""

from __future__ import annotations

import numpy as np
import pytest

from evosearch.report.family_tree import FamilyTree
from evosearch.runs.run import Run


def descendants(run, id_):
    """Return who descends from a candidate by first parents."""
    found = {id_}
    for candidate in run.history.candidates.values():
        if candidate.parents and candidate.parents[0] in found:
            found.add(candidate.id)
    return found - {id_}


@pytest.mark.parametrize("many", [3, 6, 10, 100])
def test_parents_are_drawn_and_who_is_left_out_has_few_descendants(small_run, many):
    run = Run.open(small_run)
    last = max(run.history.candidates)
    family = FamilyTree.of(run.history, {last}, many)
    ids = family.ids.tolist()
    for at, parent in enumerate(family.parents.tolist()):
        parents = run.candidate(ids[at]).parents
        assert (parents[:1] or (None,))[0] == (None if parent < 0 else ids[parent])
    line = [last]
    while parents := run.candidate(line[-1]).parents:
        line.append(parents[0])
    assert set(line) <= set(ids)
    assert len(family) <= max(many, len(line))
    left = set(run.history.candidates) - set(ids)
    assert bool(left) == (many < 16)
    assert all(len(descendants(run, id_)) < family.fewest for id_ in left)


def test_every_line_ends_in_a_row_of_its_own(small_run):
    family = FamilyTree.of(Run.open(small_run).history, ())
    rows, parents = family.rows(), family.parents
    leaves = sorted(set(range(len(family))) - set(parents.tolist()))
    assert sorted(rows[leaves].tolist()) == list(range(len(leaves)))
    for at in set(range(len(family))) - set(leaves):
        assert rows[at] in rows[np.flatnonzero(parents == at)]  # a branch goes straight on
