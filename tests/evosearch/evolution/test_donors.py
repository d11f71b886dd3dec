"""A search whose edits draw on the library and on its own elites is as repeatable as any other."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from fake_evaluation import config_of, perform

from evosearch.config.schema import preset
from evosearch.evolution.loop import replay, search
from evosearch.evolution.population import Population
from evosearch.mutation.edits import EDITS
from evosearch.mutation.space import LIBRARY
from evosearch.workers.executor import LocalExecutor

CONFIG = config_of(
    "budget.evaluations=180",
    "space.max_states=4",
    "space.max_statements=30",
    f"space.edits={json.dumps(list(EDITS))}",
    'space.donors=["adam_mini", "elites"]',
    "space.by_family=true",
    "population.crossover=0.2",
    "population.recombination=0.5",
    "population.archive=0.2",
)


def lines(population: Population) -> list[str]:
    return [f"{i.id} {i.parents} {i.mutation}\n{i.genome_text}" for i in population.individuals]


def test_elites_are_donors_and_the_history_can_be_resumed() -> None:
    records: list[Mapping[str, Any]] = []
    population = search(CONFIG, LocalExecutor(perform), records.extend)
    names = Counter(
        edit.partition(" in ")[0] for i in population.individuals for edit in i.mutation.split(", ")
    )
    for name in ("graft_slice", "graft_motif", "grow", "duplicate", "recombination", "crossover"):
        assert names[name] >= 3, name
    assert any("row_mean" in i.genome_text for i in population.individuals)
    for cut in (50,):
        again = search(CONFIG, LocalExecutor(perform), lambda _: None, tuple(records[:cut]))
        assert lines(again) == lines(population)
    assert lines(replay(CONFIG, records)) == lines(population)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["discover-wide", "rediscover-preconditioner"])
def test_presets_whose_edits_carry_ideas_breed(name: str) -> None:
    config = preset(name, ["budget.evaluations=24"])
    population = search(config, LocalExecutor(perform), lambda _: None)
    assert population.evaluations == 24
    edits = " ".join(i.mutation for i in population.individuals)
    assert "grow" in edits
    if LIBRARY in config.space.donors:
        assert "graft_slice" in edits
