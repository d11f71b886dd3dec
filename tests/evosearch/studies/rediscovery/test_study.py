"""Rediscovery studies: arms, resuming, and what is added up."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evosearch.cli.main import app
from evosearch.config.schema import configure, preset
from evosearch.errors import UsageError
from evosearch.language.known import resolve
from evosearch.recognize.recognize import recognize, recognize_rule
from evosearch.runs.run import Run
from evosearch.studies.rediscovery.criterion import TARGETS
from evosearch.studies.rediscovery.study import (
    CONTROLS,
    EVOLUTION,
    FACTOR,
    STARTS,
    Study,
    run_trials,
)
from evosearch.studies.rediscovery.summary import (
    StudySummary,
    markdown,
    summarize,
    write_summary,
)
from evosearch.studies.rediscovery.verdict import JudgedCandidate, Moment, Rival, Verdict
from primitives.table import OPS

TINY = (
    "evaluation.seeds=1",
    "evaluation.rates=3",
    "evaluation.ratios=[1.0]",
    "evaluation.extensions=0",
    'tiers=[{"tasks":["least_squares"]}]',
    'tasks={"least_squares":{"steps":5}}',
    "baseline.betas=[[0.9,0.99]]",
    "baseline.weight_decay=[0.0]",
    "elites.rounds=2",
    "elites.final=2",
    "budget.evaluations=4",
    "budget.pack=2",
)


def tiny_study(directory, budget=4, **fields):
    config = preset("rediscover-muon", (*TINY, f"budget.evaluations={budget}"))
    fields = {"seeds": (0, 1), "control_seeds": (), **fields}
    return Study(target="muon", directory=directory, config=config, **fields)


def configs_of(name, **fields):
    study = Study(
        target=name,
        directory=Path("unused"),
        config=preset(f"rediscover-{name}"),
        seeds=(0,),
        control_seeds=(0,),
        **{"start": preset(f"rediscover-{name}").start, **fields},
    )
    return study.config, {trial.arm: trial.config for trial in study.trials()}


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_arms_are_the_preset_with_one_thing_changed(target):
    base, arms = configs_of(target)
    assert set(arms) == {EVOLUTION, *CONTROLS}
    for arm, config in arms.items():
        assert config.tiers == base.tiers
        assert config.evaluation == base.evaluation
        assert config.hurdle == base.hurdle
        factor = 1 if arm == EVOLUTION else FACTOR
        assert config.budget.evaluations == factor * base.budget.evaluations
        random = arm in ("random", "random-tuned")
        if random:
            assert config.population.tournament == 1
            assert config.population.front == 0.0
            assert config.population.patience > config.budget.evaluations
        tunes = arm not in ("random", "untuned")
        assert config.population.tuning == (base.population.tuning if tunes else 0.0)
        edits = base.space.edits
        if arm == "constants":
            edits = ("change_constant",)
        elif not tunes and edits:
            edits = tuple(dict.fromkeys((*edits, "change_constant")))
        assert config.space.edits == edits
        if arm in (EVOLUTION, "constants"):
            assert config.population == base.population
        if arm == "enumeration":
            assert config.population == base.population.model_copy(update={"by_size": True})


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("target", sorted(TARGETS))
def test_no_search_begins_with_the_target(target, start):
    if (target, start) == ("adam", "adamw"):
        with pytest.raises(UsageError, match="begin with one of sgd, momentum"):
            configs_of(target, start=start)
        return
    _, arms = configs_of(target, start=start)
    judge = TARGETS[target]
    for config in arms.values():
        rule = resolve(config.start).matrix
        found = (judge.recognizer or recognize_rule)(rule)
        assert found is None or not judge.family(found)


@pytest.mark.parametrize("start", STARTS)
def test_where_the_matrices_rule_evolves_alone_the_rest_is_adamw(start):
    _, arms = configs_of("muon", start=start)
    found = recognize(resolve(arms[EVOLUTION].start))
    assert found is not None
    assert found.rest is not None
    assert found.rest.name == "adam"


def test_no_op_is_a_whole_optimizer():
    for name in ("lion", "signum", "muon", "adam"):
        assert not any(name in op for op in OPS)


def test_an_unknown_start_is_refused(tmp_path):
    with pytest.raises(UsageError, match=re.escape("sgd, momentum, adamw")):
        tiny_study(tmp_path, start="lion").trials()


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Return a study of two seeds and one control with its verdicts."""
    study = tiny_study(tmp_path_factory.mktemp("study"), control_seeds=(0,))
    return study, run_trials(study.trials(), 1, lambda *_: None)


def test_every_seed_is_a_run_with_a_verdict(study):
    done, verdicts = study
    for trial, verdict in zip(done.trials(), verdicts, strict=True):
        run = Run.open(trial.directory)
        assert run.state == "finished"
        assert run.config == trial.config
        assert len(run.history.candidates) == trial.config.budget.evaluations
        assert verdict.arm == trial.arm
        kept = json.loads((trial.directory / "verdict.json").read_text())
        assert kept == verdict.to_json()
        assert Verdict.from_json(kept) == verdict


def test_constants_arms_mutate_constants_alone(study):
    done, _ = study
    (trial,) = (t for t in done.trials() if t.arm == "constants")
    mutations = {c.mutation for c in Run.open(trial.directory).history.candidates.values()}
    words = {word for mutation in mutations for word in mutation.split(", ")}
    assert words <= {"start", "change_constant", "retune"}
    assert "change_constant" in words


def test_finished_seeds_are_not_run_again(study, monkeypatch):
    done, verdicts = study
    trial = "evosearch.studies.rediscovery.study.run_trial"
    monkeypatch.setattr(trial, lambda *_: pytest.fail("was run again"))
    assert run_trials(done.trials(), 1, lambda *_: None) == verdicts


def test_an_interrupted_seed_goes_on_where_it_stopped(study, tmp_path):
    _, verdicts = study
    again = tiny_study(tmp_path, seeds=(0,))
    (trial,) = again.trials()

    class Killed(Exception):
        pass

    def kill(history):
        if history.packs == 1:
            raise Killed

    with pytest.raises(Killed):
        Run.create(trial.directory, trial.config).search(observe=kill)
    assert trial.verdict() is None
    (verdict,) = run_trials([trial], 1, lambda *_: None)
    assert verdict.digest == verdicts[0].digest
    assert verdict.leader == verdicts[0].leader


def test_a_study_is_one_page(study, tmp_path):
    done, verdicts = study
    summary = summarize(done, verdicts)
    write_summary(done.directory, summary)
    file = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["report", str(done.directory), "-o", str(file)])
    assert result.exit_code == 0, result.output
    text = file.read_text(encoding="utf-8")
    hits = summary.evolution.strict
    assert f"Muon was found again from AdamW with {hits} of 2 seeds" in text
    for arm in (EVOLUTION, *CONTROLS):
        assert f'<td class="text">{arm}</td>' in text
        assert f">{arm}, seed 0</a>" in text
        assert f"<title>{arm}</title>" in text  # its line
    (done.directory / "summary.json").unlink()
    result = CliRunner().invoke(app, ["report", str(done.directory), "-o", str(file)])
    assert "was found again" not in file.read_text(encoding="utf-8")


def test_another_configuration_in_the_directory_is_refused(study):
    done, _ = study
    changed = configure(done.config.model_dump(mode="json"), ["budget.evaluations=7"], "the test")
    other = Study("muon", done.directory, changed, seeds=(0,))
    with pytest.raises(UsageError, match="`budget` differs"):
        run_trials(other.trials(), 1, lambda *_: None)


def told(arm, seed, seconds, *, strict, best=False):
    """Return a verdict."""
    cost = Moment(5, "insert", 10 * seconds, seconds, seconds)
    text = "def a(w, g):\n    return g\n"
    shown = JudgedCandidate(5, "muon", {"momentum": 0.9}, 0.0, 0.5, None, 3, 2, 1, text, text)
    rival = Rival(
        **vars(replace(shown, id=9)), ahead=0.1, ahead_se=0.02, beyond=True, smaller=False
    )
    return Verdict(
        arm=arm,
        seed=seed,
        strict=strict,
        family=strict,
        best=best,
        recognized=int(strict),
        first=cost if strict else None,
        family_first=cost if strict else None,
        hit=shown if strict else None,
        family_hit=shown if strict else None,
        closest=None,
        leader=shown if best else rival,
        rivals=() if best else (rival,),
        proposals=100,
        evaluations=50,
        core_seconds=60.0,
        verdict_core_seconds=1.0,
        digest="0" * 64,
        format=2,
        target="muon",
        level=0.95,
        seeds_per_task=8,
    )


def test_counts_medians_and_intervals(tmp_path):
    study = tiny_study(tmp_path, seeds=(3, 4, 5, 6), control_seeds=(3,), budget=100)
    verdicts = [
        told(EVOLUTION, 3, 10, strict=True, best=True),
        told(EVOLUTION, 4, 30, strict=True),
        told(EVOLUTION, 5, 20, strict=True),
        told(EVOLUTION, 6, 0, strict=False),
        told("random", 3, 0, strict=False),
    ]
    summary = summarize(study, verdicts)
    found = summary.evolution
    assert (found.seeds, found.strict, found.family, found.best) == (4, 3, 3, 1)
    assert found.strict_interval == pytest.approx((0.3006, 0.9544), abs=1e-4)
    assert found.median_core_seconds == 25.0  # of 10, 20, 30 and forever
    control = summary.controls["random"]
    assert (control.seeds, control.strict, control.median_core_seconds) == (1, 0, None)
    assert (control.found_after, control.strict_within) == ((), 0)
    assert found.found_after == (10, 20, 30)
    assert control.p_within == pytest.approx(0.4)  # 3 of 4 against 0 of 1
    write_summary(tmp_path, summary)
    kept = json.loads((tmp_path / "summary.json").read_text())
    assert StudySummary.from_json(kept) == summary
    assert (kept["strict"], kept["controls"]["random"]["seeds"]) == (3, 1)
    text = (tmp_path / "summary.md").read_text()
    assert text == markdown(summary)
    assert "3 of 4 (30% to 95%) seeds found it" in text
    head, _, evolution, random = re.search(r"against eval.*\n\n((?:\|.*\n)+)", text)[1].splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in (head, evolution, random)]
    assert cells[0] == ["arm", "12", "25", "50"]  # of a budget of 100, as far as the runs go
    assert cells[1:] == [
        ["evolution", "1 of 4", "2 of 4", "3 of 4"],
        ["random", "0 of 1", "0 of 1", "0 of 1"],
    ]
    assert "- #9, larger, is ahead of it by 0.100 ± 0.020, beyond the error" in text


def test_the_command_ends_with_one_json_object(tmp_path):
    settings = [word for setting in TINY for word in ("--set", setting)]
    command = ["rediscover", "muon", "--seeds", "1", "--no-controls", "--workers", "1", "--json"]
    result = CliRunner().invoke(app, [*command, "--dir", str(tmp_path / "study"), *settings])
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert {
        "target",
        "seeds",
        "strict",
        "family",
        "best",
        "median_core_seconds",
        "controls",
    } <= set(summary)
    assert summary["target"] == "muon"
    assert summary["controls"] == {}


@pytest.mark.slow
def test_seeds_side_by_side_give_the_same_verdicts(study, tmp_path):
    _, verdicts = study
    again = tiny_study(tmp_path, control_seeds=(0,))
    found = run_trials(again.trials(), 2, lambda *_: None)
    timed = {"core_seconds": 0.0, "verdict_core_seconds": 0.0, "first": None, "family_first": None}
    for old, new in zip(verdicts, found, strict=True):
        assert replace(old, **timed) == replace(new, **timed)
