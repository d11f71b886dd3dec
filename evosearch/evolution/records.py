"""Packs and baselines as journal records, and back.

A record holds what the search decided on and what came out, under stable keys; timings and machines
go under ``info``, which comparisons of histories leave out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evosearch.equivalence.core import Core
from evosearch.errors import CorruptArchive
from evosearch.evolution.individual import Individual, Pack
from evosearch.evolution.population import Population
from evosearch.language.written import read_written
from evosearch.training.baseline import Baseline
from evosearch.training.job import Outcome, Status, TaskResult
from evosearch.training.score import BOUND

__all__ = ["baseline_of", "baseline_record", "outcomes_of", "pack_of", "pack_record"]


def baseline_record(baseline: Baseline, info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a tuned baseline."""
    return {
        "kind": "reference",
        "task": baseline.task,
        "program": baseline.program,
        "values": list(baseline.values),
        "edge": baseline.edge,
        "losers": [[program, level] for program, level in baseline.losers],
        "info": dict(info),
    }


def baseline_of(record: Mapping[str, Any]) -> Baseline:
    """Read a baseline from its record."""
    losers = tuple((program, level) for program, level in record["losers"])
    return Baseline(
        record["task"], record["program"], tuple(record["values"]), record["edge"], losers
    )


def pack_record(
    pack: Pack, outcomes: Sequence[Outcome], population: Population, info: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the record of a committed pack; `population` has taken its outcomes in."""
    rows = [
        _row(individual, outcome, population, pack.confirms)
        for individual, outcome in zip(pack.individuals, outcomes, strict=True)
    ]
    # What a form's constants came to follows from the history: it is here for those who read it.
    closed = {} if pack.confirms or pack.closed is None else {"closed": list(pack.closed)}
    return {
        "kind": "confirm" if pack.confirms else "pack",
        "pack": pack.number,
        "round": pack.round,
        "proposals": pack.proposals,
        "cache_hits": pack.hits,
        "candidates": rows,
        "info": dict(info) | closed,
    }


def pack_of(record: Mapping[str, Any]) -> Pack | None:
    """Read a pack of new candidates, as `Population.propose` gave it; None where it is not known.

    That is so for confirmations, which are made anew as fast, and with records of older versions.
    """
    closed = record["info"].get("closed")
    if record["kind"] != "pack" or closed is None:
        return None
    individuals = tuple(
        Individual(
            row["id"], row["program"], row["fingerprint"], tuple(row["parents"]), row["mutation"]
        )
        for row in record["candidates"]
    )
    numbers = record["proposals"], record["cache_hits"]
    return Pack(record["pack"], record["round"], individuals, *numbers, tuple(closed))


def outcomes_of(record: Mapping[str, Any], pack: Pack) -> tuple[Outcome, ...]:
    """Read the outcomes of a pack that was proposed again, their trials left out.

    Raises:
        CorruptArchive: The record is of another pack: this code proposes something else than the
            code that wrote the journal.
    """
    rows = record["candidates"]
    same = record["pack"] == pack.number and len(rows) == len(pack.individuals)
    for row, individual in zip(rows, pack.individuals, strict=False):
        same &= row["id"] == individual.id
        same &= pack.confirms or row["program"] == individual.genome_text
    if not same:
        raise CorruptArchive(
            f"pack {record['pack']} of the journal is not the pack {pack.number} that this version "
            "proposes after the same history; expected the same programs. Resume with the version "
            "that wrote the run (see its manifest), or start a new run"
        )
    return tuple(_outcome(row) for row in rows)


def _outcome(row: Mapping[str, Any]) -> Outcome:
    tasks = tuple(map(_result, row["results"]))
    score = -BOUND if row["score"] is None else row["score"]
    status = Status(row["status"])
    text = row.get("canonical")  # of a candidate that is new
    core = None if text is None else Core.known(read_written(text))
    return Outcome(status, row["message"], row["tier"], score, row["score_se"], tasks, core)


def _result(result: Mapping[str, Any]) -> TaskResult:
    """Read a task's result, but for its trials, which a search does not look at."""
    return TaskResult(
        result["task"],
        result["replicate"],
        result["seed"],
        result["score"],
        result["best"],
        result["edge"],
        (),
    )


def _row(
    individual: Individual, outcome: Outcome, population: Population, confirms: bool
) -> dict[str, Any]:
    fitness = population.fitnesses.get(individual.id)
    row: dict[str, Any] = {
        "id": individual.id,
        "status": str(outcome.status),
        "tier": outcome.tier,
        "score": None if fitness is None else fitness.score,
        "score_se": None if fitness is None else fitness.error,
        "rounds": 0 if fitness is None else fitness.rounds,
        "message": outcome.message,
        "results": [result.to_json() for result in outcome.tasks],
    }
    if confirms:
        return row
    core, program = population.cores[individual.id], individual.genome_text
    return row | {
        "parents": list(individual.parents),
        "mutation": individual.mutation,
        "program": core.text if core.text == program else program,  # mostly: kept once
        "canonical": core.text,
        "fingerprint": individual.fingerprint,
        "statements": core.statements,
        "states": core.states,
        "state_memory": float(core.memory),
        "cost": core.cost,
    }
