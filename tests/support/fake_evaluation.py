"""Evaluation by a formula: a score depends on a program's text and the seed, and takes no time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evosearch.config.schema import Config, configure
from evosearch.equivalence.core import Core
from evosearch.evolution.individual import Pack
from evosearch.evolution.population import Population
from evosearch.language.known import known
from evosearch.language.parse import parse_rules
from evosearch.mutation.rng import Rng
from evosearch.training.baseline import Baseline, BaselineJob
from evosearch.training.job import Job, Outcome, Stage, Status, TaskRef, TaskResult, TrialResult
from evosearch.training.score import BOUND
from evosearch.workers.executor import AnyJob, Timed

__all__ = [
    "config_of",
    "drive",
    "job_of",
    "next_pack",
    "noise",
    "outcome",
    "outcomes_of_pack",
    "perform",
    "quality",
    "scored",
    "told",
]


def config_of(*settings: str, tiers: int = 2, seed: int = 0) -> Config:
    """Return a small configuration with many packs and several tiers."""
    tasks = ("digits_mlp", "least_squares", "zipf_bigram")[:tiers]
    data = {
        "seed": seed,
        "tiers": [{"tasks": [task]} for task in tasks],
        "population": {"size": 8, "warmup": 4, "tournament": 3},
        "hurdle": {"warmup": 6},
        "elites": {"count": 2, "every": 3, "rounds": 2, "final": 3},
        "budget": {"evaluations": 40, "pack": 3, "window": 2},
    }
    return configure(data, settings, "a test")


def job_of(*names: str) -> Job:
    """Return a job that evaluates known optimizers on one task and two replicates."""
    return Job(
        candidates=tuple(str(known(name)) for name in names),
        stages=(Stage((TaskRef("digits_mlp"),)),),
        replicates=(0, 1),
        run_seed=0,
        references={"digits_mlp": (1.0, 1.0)},
    )


def quality(text: str) -> float:
    """Return a program's true score: anything from -1 to 1."""
    return 2.0 * Rng("quality", text).random() - 1.0


def noise(text: str, task: str, replicate: int) -> float:
    """Return what luck adds to a score."""
    return 0.3 * Rng("noise", text, task, replicate).normal()


def outcome(
    text: str,
    stages: Sequence[tuple[Sequence[str], float]],
    replicates: Sequence[int],
    fails: Callable[[str], bool] = lambda _: False,
    core: Core | None = None,
) -> Outcome:
    """Return what becomes of a program on stages of (tasks, hurdle)."""
    if fails(text):
        return Outcome(Status.DIVERGED, "as asked", 0, -BOUND, None, (), core)
    results: list[TaskResult] = []
    trials = (TrialResult(0.1, 0.1, 1.0, 0.5),)
    last, mean = -1, 0.0
    for tasks, hurdle in stages:
        last += 1
        scores = [
            TaskResult(task, r, r, quality(text) + noise(text, task, r), 0, False, trials)
            for task in tasks
            for r in replicates
        ]
        results += scores
        mean = sum(result.score for result in scores) / len(scores)
        if mean < hurdle:
            break
    return Outcome(Status.OK, "", last, mean, 0.1, tuple(results), core)


def perform(job: AnyJob, fails: Callable[[str], bool] = lambda _: False) -> Timed:
    """Stand in for `evosearch.workers.executor.perform`."""
    if isinstance(job, BaselineJob):
        values = tuple(1.0 + 0.01 * r for r in range(job.seeds * job.rounds))
        losers = tuple((program, 0.1) for program in job.programs[1:])
        return Baseline(str(job.task), job.programs[0], values, False, losers), 0.5
    assert isinstance(job, Job)
    stages = [([str(task) for task in stage.tasks], stage.hurdle) for stage in job.stages]
    if not job.shrink:
        return tuple(outcome(t, stages, job.replicates, fails) for t in job.candidates), 0.5
    cores = [Core.of(parse_rules(text)) for text in job.candidates]
    return tuple(outcome(core.text, stages, job.replicates, fails, core) for core in cores), 0.5


def outcomes_of_pack(
    population: Population, pack: Pack, fails: Callable[[str], bool] = lambda _: False
) -> list[Outcome]:
    """Return what becomes of a pack, with the hurdles of this moment."""
    config = population.config
    seeds = config.evaluation.seeds
    hurdles = [-BOUND] * len(config.tiers) if pack.confirms else population.hurdles()
    tasks = [[str(ref) for ref in tier] for tier in config.tiers_of_tasks()]
    stages = list(zip(tasks, hurdles, strict=True))
    replicates = range(pack.round * seeds, (pack.round + 1) * seeds)
    cores = [Core.of(individual.genome) for individual in pack.individuals]
    return [outcome(core.text, stages, replicates, fails, core) for core in cores]


def drive(
    population: Population, packs: int = 10_000, fails: Callable[[str], bool] = lambda _: False
) -> list[Pack]:
    """Propose and commit with a window of one, and return the packs."""
    done: list[Pack] = []
    while len(done) < packs and (pack := population.propose()) is not None:
        population.commit(pack, outcomes_of_pack(population, pack, fails))
        done.append(pack)
    return done


def scored(score: float, replicates: range = range(2), tasks: int = 1) -> Outcome:
    """Return the outcome of a candidate with this score on the tasks of so many tiers."""
    results = tuple(
        TaskResult(t, r, r, score, 0, False, ())
        for t in ("digits_mlp", "least_squares")[:tasks]
        for r in replicates
    )
    return Outcome(Status.OK, "", tasks - 1, score, None, results)


def told(pack: Pack, *scores: float) -> list[Outcome]:
    """Return outcomes of a pack on the first tier; the last score is that of all others too."""
    replicates = range(2 * pack.round, 2 * pack.round + 2)
    padded = [*scores, *[scores[-1]] * len(pack.individuals)][: len(pack.individuals)]
    return [scored(score, replicates) for score in padded]


def next_pack(population: Population) -> Pack:
    pack = population.propose()
    assert pack is not None
    return pack
