"""One long search with everything switched on, pinned: a history never changes unseen.

Scores are a pure function of the program, the task and the replicate, made of integers and of sums
that Python rounds exactly, so the digest is the same on every machine. Where it changes, searches
of the same configuration and seed find something else than they did: runs that are under way cannot
be resumed, and published runs cannot be repeated. Say so in the change log.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from fake_evaluation import config_of, quality
from fake_evaluation import perform as baselines

from evosearch.equivalence.core import Core
from evosearch.evolution.individual import Pack
from evosearch.evolution.island import Island
from evosearch.evolution.loop import Progress, replay, search
from evosearch.evolution.population import Population
from evosearch.language.parse import parse_rules
from evosearch.mutation.rng import Rng
from evosearch.training.job import Job, Outcome, Status, TaskResult
from evosearch.training.score import BOUND
from evosearch.workers.executor import AnyJob, LocalExecutor, Timed

DIGESTS: dict[object, str] = {
    20: "393e3d9c347aae5bab4f0d27f19355e56bd8ffc6bb3b6e7aeaf126c98c5c8e5e",
    60: "339c0a6ada604fba49fcac93516a99a48d17253cd77cb7a70db7da08ffcc098d",
    120: "d183e093f3c4c8aabb13a9d2ca2d77d4d6ef7c1404698ad50c3afd4d70d48767",
    "end": "072af774097c7e6e72d8518148c9a05e140ab0d9c75fa7858f42ad51b5af9cc3",
}
"""After so many packs, and at the end: which one differs says how late a change shows."""
CHANGED = "the same configuration and seed give another history"

CONFIG = config_of(
    "budget.evaluations=560",
    "budget.window=4",
    "population.islands=3",
    "population.migrate_every=5",
    "population.patience=25",
    "population.size=12",
    "population.crossover=0.2",
    "elites.every=4",
    "elites.rounds=3",
    tiers=3,
)


def evaluated(text: str, job: Job, core: Core | None) -> Outcome:
    """Return what becomes of a program; a few fail at once, and a few when they are tried again."""
    doomed = Rng("failure", text).random()
    if doomed < 0.05 or (doomed < 0.25 and job.replicates[0] > 0):
        return Outcome(Status.DIVERGED, "", 0, -BOUND, None, (), core)
    results: list[TaskResult] = []
    tier, mean = 0, 0.0
    for tier, stage in enumerate(job.stages):  # noqa: B007 - the last one is what counts
        scores = [
            TaskResult(str(task), r, r, quality(text) + luck(text, str(task), r), 0, False, ())
            for task in stage.tasks
            for r in job.replicates
        ]
        results += scores
        mean = sum(result.score for result in scores) / len(scores)
        if mean < stage.hurdle:
            break
    return Outcome(Status.OK, "", tier, mean, None, tuple(results), core)


def luck(text: str, task: str, replicate: int) -> float:
    return Rng("luck", text, task, replicate).random() - 0.5


def perform(job: AnyJob) -> Timed:
    if not isinstance(job, Job):
        return baselines(job)
    if not job.shrink:
        return tuple(evaluated(text, job, None) for text in job.candidates), 0.0
    cores = [Core.of(parse_rules(text)) for text in job.candidates]
    return tuple(evaluated(core.text, job, core) for core in cores), 0.0


def line(pack: Pack, population: Population) -> str:
    """Return what a commit was and what came of it, in words that no renaming changes."""
    words = [f"{pack.number} {pack.round} {pack.proposals} {pack.hits}"]
    for individual in pack.individuals:
        fitness = population.fitnesses.get(individual.id)
        stands = "-" if fitness is None else f"{fitness.tier} {fitness.score!r}"
        words += [str(individual.id), individual.genome_text, str(individual.parents), stands]
    return "\n".join(words)


def digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def end(population: Population) -> list[str]:
    return [
        " ".join(str(i.id) for i in population.ranking()),
        " ".join(str(i.id) for i in population.front()),
        repr(population.hurdles()),
    ]


def test_a_history_never_changes_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: Counter[str] = Counter()
    restart, add, discard = Island.restart, Island.add, Island.discard

    def restarted(island: Island, *args) -> None:
        happened["restart"] += 1
        restart(island, *args)

    def added(island: Island, id_: int, *args) -> None:
        happened["migration"] += home.setdefault(id_, id(island)) != id(island)
        add(island, id_, *args)

    def discarded(island: Island, id_: int) -> None:
        happened["loss of a member"] += id_ in island.members
        discard(island, id_)

    monkeypatch.setattr(Island, "restart", restarted)
    monkeypatch.setattr(Island, "add", added)
    monkeypatch.setattr(Island, "discard", discarded)
    home: dict[int, int] = {}
    lines: list[str] = []

    def observe(progress: Progress) -> None:
        pack, fitnesses = progress.pack, progress.population.fitnesses
        lines.append(line(pack, progress.population))
        if len(lines) in DIGESTS:
            assert digest(lines) == DIGESTS[len(lines)], CHANGED
        happened["re-evaluation"] += pack.confirms
        for individual in pack.individuals:
            happened["tuning"] += individual.mutation == "retune"
            happened["crossover"] += len(individual.parents) > 1
            if individual.id in fitnesses:
                happened[f"tier {fitnesses[individual.id].tier}"] += 1
            else:
                happened["failure"] += 1

    population = search(CONFIG, LocalExecutor(perform), lambda _: None, (), observe)
    assert len(lines) >= 200
    assert happened["restart"] >= 3
    assert happened["migration"] >= 20
    assert happened["tuning"] >= 50
    assert happened["crossover"] >= 20
    assert happened["re-evaluation"] >= 20
    assert happened["failure"] >= 20
    assert happened["loss of a member"] >= 3
    assert min(happened[f"tier {tier}"] for tier in range(3)) >= 20
    assert digest([*lines, *end(population)]) == DIGESTS["end"], CHANGED


def test_resumed_late_it_is_the_same_history() -> None:
    """Most packs are taken from their records then, and what comes after them is proposed."""
    lines: list[str] = []
    records: list[Mapping[str, Any]] = []

    def observe(progress: Progress) -> None:
        lines.append(line(progress.pack, progress.population))

    search(CONFIG, LocalExecutor(perform), records.extend)
    resumed = search(CONFIG, LocalExecutor(perform), lambda _: None, tuple(records[:160]), observe)
    assert digest([*lines, *end(resumed)]) == DIGESTS["end"], CHANGED
    replayed = replay(CONFIG, records, every=10_000)
    assert end(replayed) == end(resumed)
