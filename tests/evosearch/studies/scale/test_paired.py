"""Who of a scale test leads the best baseline, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scipy import stats
from test_protocol import CURVES, SEARCH, told

from evosearch.studies.scale.paired import best_baseline, leads, sentence
from evosearch.studies.scale.table import markdown


def test_a_lead_is_over_the_best_baseline_and_paired_by_seed():
    ahead = [0.3, 0.2, 0.25]
    signum = [[3.0, 2.0, lion[-1] - x] for lion, x in zip(CURVES["lion"], ahead, strict=True)]
    sgd = [[4.0, 3.0, x] for x in (0.9, 1.3, 0.8)]
    summary = told(CURVES | {"signum": signum, "sgd": sgd}, SEARCH | {"signum": 0.0, "sgd": 0.0})
    assert best_baseline(summary) == "lion"
    first, second = leads(summary)
    assert (first.label, second.label) == ("signum", "sgd")
    assert first.lower.mean == pytest.approx(0.25)
    assert first.lower.error == pytest.approx(stats.sem(ahead))
    p = stats.ttest_1samp(ahead, 0.0, alternative="greater")[1]
    assert first.p == pytest.approx(2 * p)
    assert second.lower.mean == pytest.approx(0.0)
    assert second.p > 0.4
    said = sentence(summary)
    assert "Against lion" in said
    assert "signum ends lower by 0.2500 ± 0.0289 (p = 0.013 after Holm over 2)" in said
    assert "sgd" not in said
    assert "\n".join(markdown(summary)).count(said) == 1


def test_a_baseline_at_the_edge_of_what_was_tried_is_no_baseline_yet():
    summary = told(CURVES | {"sgd": CURVES["adamw"]}, SEARCH | {"sgd": 0.0})
    assert "edge" not in sentence(_edge(summary, lion=False, adamw=True))
    assert "But lion is best at the edge" in sentence(_edge(summary, lion=True))


def _edge(summary, **edges):
    changed = {k: replace(summary.optimizers[k], edge=edge) for k, edge in edges.items()}
    return replace(summary, optimizers={**summary.optimizers, **changed})


def test_without_finalists_nobody_leads():
    summary = told(CURVES, SEARCH)
    assert leads(summary) == []
    assert sentence(summary) == ""
