"""The whole path on a tiny budget: real data, real training, nothing faked."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
import torch
from torch import nn
from workers_here import compute_here

import evosearch
from evosearch.equivalence.fingerprint import fingerprint

SETTINGS = ("tasks.digits_mlp.steps=20", "budget.evaluations=12", "start=sgd", "seed=3")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> evosearch.Run:
    """One search, seconds long, that several tests look at."""
    directory = tmp_path_factory.mktemp("runs") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        compute_here(patch)
        return evosearch.search(evosearch.preset("smoke", SETTINGS), directory, workers=1)


def test_it_ends_with_everything_evaluated(run: evosearch.Run) -> None:
    assert run.state == "finished"
    candidates = run.history.candidates.values()
    assert len(candidates) == 12
    assert {c.status for c in candidates} <= {"ok", "degenerate", "diverged", "raised"}
    good = [c for c in candidates if c.status == "ok"]
    assert len(good) >= 8
    for candidate in good:
        assert candidate.score is not None
        assert math.isfinite(candidate.score)
        for m in candidate.measurements:
            assert m.task == "digits_mlp[steps=20]"
            assert m.value is not None
            assert m.value > 0.0
            assert m.lr > 0.0


def test_something_learns_digits(run: evosearch.Run) -> None:
    best = run.top(1)[0]
    assert best.rounds >= 2
    assert min(m.value for m in best.measurements if m.value is not None) < 1.0


def test_programs_are_what_their_rows_say(run: evosearch.Run) -> None:
    for candidate in run.history.candidates.values():
        rules = evosearch.parse_rules(candidate.genome_text)
        core = evosearch.parse_rules(candidate.program_text)
        assert str(rules) == candidate.genome_text
        assert fingerprint(rules) == fingerprint(core) == candidate.fingerprint
        assert candidate.statements == core.size


def test_the_hall_of_fame_is_the_ranking(run: evosearch.Run) -> None:
    with (run.directory / "hall_of_fame.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["id"]) for row in rows] == [c.id for c in run.top(len(rows))]
    assert {(row["confirmed"], int(row["rounds"]) > 1) for row in rows} == {
        ("True", True),
        ("False", False),
    }
    for confirmed in (True, False):
        scores = [c.score for c in run.top(20, confirmed)]
        assert scores == sorted(scores, reverse=True)


def test_the_journal_alone_gives_the_population(run: evosearch.Run) -> None:
    again = evosearch.Run.open(run.directory)
    assert again.digest() == run.digest()
    assert again.top(5) == run.top(5)


def test_interrupted_and_resumed_it_is_the_same_run(run: evosearch.Run, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    seen = 0

    def stop(_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == 3:
            raise Stop

    config = evosearch.preset("smoke", SETTINGS)
    with pytest.raises(Stop):
        evosearch.search(config, tmp_path / "half", workers=1, observe=stop)
    half = evosearch.Run.open(tmp_path / "half")
    assert half.state != "finished"
    assert half.digest() != run.digest()
    assert half.search().digest() == run.digest()


def test_the_best_trains_a_model_of_ones_own(run: evosearch.Run) -> None:
    torch.manual_seed(0)
    best = run.top(1)[0]
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
    x = torch.randn(64, 8)
    y = x[:, :1] * x[:, 1:2]
    optimizer = best.to_optimizer()(model.named_parameters(), lr=1e-3)
    losses = []
    for _ in range(60):
        loss = nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
