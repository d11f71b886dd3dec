"""Comparisons of programs with classes: agreement, what is kept, planned and flagged."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from evosearch.api import compare as compare_named
from evosearch.config.preflight import check_tasks
from evosearch.config.schema import configure
from evosearch.errors import UsageError
from evosearch.language.known import known
from evosearch.studies.compare import Conditions, Contender, compare
from evosearch.studies.comparison_plan import ComparisonPlan, plan
from evosearch.studies.tuning_cache import CachedExecutor
from evosearch.training.optimizer_class import OptimizerClass
from evosearch.training.tunable import Tunable
from evosearch.training.tuner import Descent
from evosearch.workers.executor import AnyJob, LocalExecutor, Timed, perform

CONFIG = configure(
    {"tasks": {"digits_mlp": {"steps": 12, "batch": 16}}}, (), "a test", ["digits_mlp"]
)
LION = OptimizerClass("lion_pytorch", "Lion")
MISTUNED = """
import torch

class Warmed(torch.optim.AdamW):
    # Its first steps, on which its update is measured, are 10,000 times smaller.
    done = 0

    def step(self, closure=None):
        self.done += 1
        for group in self.param_groups:
            group["lr"] *= 1e-4 if self.done <= 8 else 1.0
        return super().step(closure)
"""


def test_lanes_and_classes_agree_and_what_is_known_is_not_computed(tmp_path: Path) -> None:
    jobs: list[AnyJob] = []

    def counted(job: AnyJob) -> Timed:
        jobs.append(job)
        return perform(job)

    executor = CachedExecutor(LocalExecutor(counted), tmp_path, check_tasks(CONFIG))
    optimizers = [("lion", known("lion")), ("Lion", LION)]
    first, both = (
        compare(optimizers[:n], CONFIG, executor, seeds=2, seed=0, descent=Descent(7))
        for n in (1, 2)
    )
    assert len(jobs) == 3  # AdamW and lion once, Lion
    scores = {c.label: c.scores for c in both.contenders}
    assert scores["lion"] == first.contenders[0].scores
    for task, found in scores["Lion"].items():
        assert found == pytest.approx(scores["lion"][task], abs=1e-3)
    assert json.loads(json.dumps(both.to_json()))["contenders"][0]["tuned"]


@pytest.mark.parametrize(
    ("scores", "verdict"),
    [
        ([0.10, 0.11, 0.09], "better than AdamW"),
        ([-0.10, -0.11, -0.09], "worse than AdamW"),
        ([-0.10, 0.11, 0.09], "undecided"),
    ],
)
def test_a_verdict_needs_the_error_to_be_smaller(scores: list[float], verdict: str) -> None:
    assert Contender("lion", known("lion"), {}, {"task": scores}).verdict == verdict


def planned(known_before: bool) -> ComparisonPlan:
    conditions = Conditions(2, descent=Descent(64))
    refs = [ref for tier in CONFIG.tiers_of_tasks() for ref in tier]
    lion = Tunable.fixed(str(known("lion")))
    return plan({"lion": lion}, refs, conditions.job, lambda _: known_before)


def test_a_plan_fits_a_budget_or_says_what_it_needs() -> None:
    whole = planned(known_before=False)
    assert whole.tunings[0].runs == 2 * 65
    assert whole.within(1e6) == 64
    per_trial = whole.seconds / 65 / 60
    assert whole.within(11.5 * per_trial) == 10
    with pytest.raises(UsageError, match=r"at least .* core-minutes, 5 trials for each"):
        whole.within(2 * per_trial)
    assert planned(known_before=True).seconds == 0


def test_a_mistuned_contender_is_flagged(tmp_path: Path) -> None:
    file = tmp_path / "mistuned.py"
    file.write_text(MISTUNED)
    settings = ["tasks.digits_mlp.steps=16"]
    found = compare_named(f"{file}:Warmed", seeds=2, trials=5, settings=settings)
    (tuned,) = found.contenders[0].tuned.values()
    assert "learning rate" in tuned.edges
    rates = [trial.lr for trial in tuned.trials]
    assert tuned.attempt.lr in (min(rates), max(rates))


def test_the_files_of_a_comparison_and_its_card(evosearch, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("torch.optim:SGD", "--seeds", 2, "--trials", 5, "--set", "tasks.digits_mlp.steps=5")
    assert "2 tunings of at most 5 trials" in evosearch("compare", *words, "--plan").stdout
    evosearch("compare", *words, "-o", "out")
    assert pq.read_table("out/seeds.parquet").num_rows == 4
    assert pq.read_table("out/trials.parquet").num_rows == 10
    assert "<svg" in Path("out/index.html").read_text(encoding="utf-8")
    again = evosearch("compare", "--card", "out/card.json")
    assert "The same as on the card." in again.stdout
    assert "before; 1 to go" in again.stderr
    evosearch("compare", code=2)
    evosearch("compare", "--card", "out/index.html", code=2)
