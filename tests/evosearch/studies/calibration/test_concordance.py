"""Concordance of made-up scores, whose figures are known."""

import json
import math

import numpy as np
import pytest

from evosearch.studies.calibration import concordance
from evosearch.studies.calibration.concordance import Concordance
from evosearch.studies.calibration.panel import levels, panel
from evosearch.studies.calibration.scoring import MemberScores, PanelScores, load, store
from evosearch.studies.calibration.summary import CalibrationSummary, summarize

PANEL = panel()


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch):
    monkeypatch.setattr(concordance, "_DRAWS", 40)


def task(name: str, score, noise: float = 0.01, seeds: int = 4) -> PanelScores:
    """Return a task on which members have these scores; the middle of three rates is the best."""
    random = np.random.default_rng(0)
    members = {}
    for member in PANEL.members:
        best = -score(member) + noise * random.standard_normal(seeds)
        rows = tuple(tuple(map(float, np.exp(best + worse))) for worse in (1.0, 0.0, 1.0))
        members[member] = (MemberScores((0.01, 0.03, 0.1), (1.0,) * 3, rows, False, 1.0),)
    return PanelScores(name, 200, 8, 0.0, 1.0, ((1.0,) * seeds,), members)


ORDER = levels(PANEL.members, PANEL.pairs, PANEL.near)


def truth(member: str) -> float:
    return ORDER[member]


def opposite(member: str) -> float:
    return -ORDER[member]


def test_scores_that_follow_the_truth_are_concordant():
    found = Concordance({"told": task("told", truth, noise=0.0)}, PANEL)
    assert all(found.hits())
    assert found.share().value == found.share(hard=True).value == 1.0
    assert found.spearman().value == pytest.approx(1.0)
    assert found.spearman().interval[0] > 0.9
    assert found.held_out_spearman().value == pytest.approx(1.0)


def test_scores_turned_round_are_discordant():
    found = Concordance({"told": task("told", opposite, noise=0.0)}, PANEL)
    assert not any(found.hits())
    assert found.spearman().value == pytest.approx(-1.0)


def test_a_task_that_misleads_gets_no_weight_even_where_a_family_is_left_out():
    told = {"told": task("told", truth), "turned": task("turned", lambda m: 3 * opposite(m))}
    found = Concordance(told, PANEL)
    assert not any(found.hits())  # with equal weights, the one that misleads leads
    assert all(weights == (1.0, 0.0) for weights in found.chosen().values())
    assert found.held_out_share().value > 0.95


def test_weights_are_chosen_without_the_family_that_is_predicted():
    """A task that is right about one family alone cannot be known to be, with that left out."""
    own = set(PANEL.families["momentum"])
    right = task("right", lambda m: truth(m) if m in own else opposite(m), noise=0.0)
    found = Concordance({"right": right, "turned": task("turned", opposite, noise=0.0)}, PANEL)
    pairs = found.truth.pairs
    held = dict(zip([(p.better, p.worse) for p in pairs], found.held_out_hits(), strict=True))
    assert not any(held[p.better, p.worse] for p in pairs if not own & {p.better, p.worse})


def test_an_interval_holds_the_noise_of_seeds_and_members():
    calm = Concordance({"told": task("told", truth, noise=0.0)}, PANEL).spearman()
    noisy = Concordance({"told": task("told", truth, noise=1.0)}, PANEL).spearman()
    assert calm.value > noisy.value
    assert noisy.interval[0] < noisy.value < noisy.interval[1]
    width = noisy.interval[1] - noisy.interval[0]
    assert width > 3 * (calm.interval[1] - calm.interval[0])


def test_a_member_that_failed_is_last():
    failed = task("told", truth)
    failed.members["muon"] = (MemberScores((), (), (), True, 0.1),)  # type: ignore[index]
    found = Concordance({"told": failed}, PANEL)
    assert min(found.totals, key=found.totals.__getitem__) == "muon"
    assert failed.scores("muon", 0) == [-10.0] * 4


def test_scores_survive_their_file(tmp_path):
    found = {"told": task("told", truth)}
    found["told"].members["lion"] = (  # type: ignore[index]
        MemberScores((0.1,), (1.0,), ((0.5, math.inf, 0.5, 0.5),), True, 2.0),
    )
    store(tmp_path / "scores.json", found)
    again = load(tmp_path / "scores.json")
    assert list(again) == ["told"]
    assert again["told"].scores("muon", 0) == pytest.approx(
        found["told"].scores("muon", 0), rel=1e-3
    )
    assert again["told"].members["lion"][0].values == ((0.5, math.inf, 0.5, 0.5),)


def test_the_summary_has_what_is_asked_of_it():
    summary = summarize({"told": task("told", truth)}, PANEL)
    for name in ("fitted_spearman", "held_out_spearman", "decided_pairs", "hard_pairs"):
        low, high = getattr(summary, f"{name}_interval")
        assert low <= getattr(summary, name) <= high
    assert len(summary.pairs) == summary.counts.decided
    wrong = [pair for pair in summary.pairs if not pair.right]
    assert sum(member.wrong for member in summary.misjudged) == 2 * len(wrong)
    assert CalibrationSummary.from_json(json.loads(json.dumps(summary.to_json()))) == summary
