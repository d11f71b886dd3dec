"""Verdicts: whether a finished run found a known optimizer, as fixed in docs/adr/0001.

A target is found when a candidate that computes it stands on the run's front of score against
program size and state memory: nothing of its size or smaller, with no more state, scores better
beyond the error. Scores are on fresh seeds; what looks better than the target is evaluated on as
many of them before it decides anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from evosearch.language.library import LIBRARY, Sought
from evosearch.language.rule import Rule, RuleSet
from evosearch.runs.run import Run
from evosearch.storage.journal import read
from evosearch.studies.rediscovery.ideas import CONDITION, orthogonalization, preconditioner
from evosearch.studies.rediscovery.reevaluate import Reevaluation
from evosearch.studies.rediscovery.verdict import JudgedCandidate, Moment, Rival, Verdict
from evosearch.studies.statistics import CONFIDENCE
from evosearch.workers.executor import Executor

__all__ = [
    "FORMAT",
    "MEMORY",
    "SEEDS",
    "SHARE",
    "TARGETS",
    "RecognizedRule",
    "Recognizer",
    "Target",
    "bounded",
    "judge",
]

FORMAT: Final = 2
"""Version of the definition and of the verdict's JSON form."""
SEEDS: Final = 8
"""Fresh paired seeds a task, at least, that a verdict rests on."""
_RIVALS: Final = 5
"""Better programs that a verdict lists."""


class RecognizedRule(Protocol):
    """What a rule was recognised as, see `evosearch.recognize.recognize`."""

    @property
    def name(self) -> str:
        """The known optimizer."""
        ...

    @property
    def constants(self) -> Mapping[str, float]:
        """The form's constants as fitted."""
        ...

    @property
    def residual(self) -> float:
        """Relative deviation from the form on the probe trajectories."""
        ...


Recognizer = Callable[[Rule], RecognizedRule | None]


Condition = Callable[[RecognizedRule], bool]


@dataclass(frozen=True)
class Target:
    """What is looked for, as conditions on what a rule was recognised as."""

    name: str
    strict: Condition
    family: Condition
    """The strict form and its relatives; wider than `strict`."""
    recognizer: Recognizer | None = None
    """What names a rule; by default `evosearch.recognize.recognize.recognize_rule`."""
    definition: str = "docs/adr/0001-what-counts-as-rediscovered.md"
    """Where it was fixed."""


MEMORY: Final = (2.0, 1000.0)
"""Steps that a strict target's average remembers, 1 / (1 - beta)."""
SHARE: Final = (0.02, 0.98)
"""How much of what is read a strict target's newest gradient is."""
_EPS: Final = 1e-3
"""The most that a strict target adds to a denominator, for gradients of size 1."""
_ROUNDING: Final = 1e-6
_IDEAS: Final = "docs/adr/0014-more-targets.md"


def bounded(form: RecognizedRule) -> bool:
    """Whether an average that is worth its name is read beside a gradient that counts.

    Where reading and writing have a rate each, what is written remembers longer.
    """
    constants = form.constants
    read = constants.get("beta1", constants.get("read"))
    write = constants.get("beta2", constants.get("momentum"))
    if read is None or write is None:
        return False
    return (
        _between(MEMORY, 1.0 / (1.0 - write) if write < 1.0 else math.inf)
        and _between(SHARE, 1.0 - read)
        and ("beta2" not in constants or read < write)
    )


def _between(bounds: tuple[float, float], value: float) -> bool:
    low, high = bounds
    return low * (1.0 - _ROUNDING) <= value <= high * (1.0 + _ROUNDING)


def _target(name: str, sought: Sought) -> Target:
    def strict(form: RecognizedRule) -> bool:
        decays = sought.without_decay and form.constants.get("weight_decay")
        small = form.constants.get("eps", 0.0) <= _EPS
        return form.name == name and not decays and bounded(form) and small

    definition = _IDEAS if name == "adam" else Target.definition
    family = (name, *sought.relatives)
    return Target(name, strict, lambda form: form.name in family, definition=definition)


def _answers(spread: float, cosine: float) -> Condition:
    """Return the condition that a gradient's singular values are so close, its directions kept."""

    def holds(form: RecognizedRule) -> bool:
        return form.constants["spread"] <= spread and form.constants["cosine"] >= cosine

    return holds


_IDEA_TARGETS: Final = (
    Target("orthogonalization", _answers(2.0, 0.9), _answers(3.2, 0.7), orthogonalization, _IDEAS),
    Target(
        "preconditioner", _answers(CONDITION / 2.0, 0.7), lambda _: True, preconditioner, _IDEAS
    ),
)

TARGETS: Final = {
    name: _target(name, row.sought) for name, row in LIBRARY.items() if row.sought is not None
} | {target.name: target for target in _IDEA_TARGETS}
"""By name. Lion's relative is Signum, which has one rate; Muon's and Adam's have weight decay."""


def judge(
    run: Run,
    target: Target,
    executor: Executor,
    *,
    arm: str = "",
    recognizer: Recognizer | None = None,
) -> Verdict:
    """Return the verdict on a finished run.

    Args:
        run: A finished run.
        target: What is looked for.
        executor: Where further rounds are computed.
        arm: The arm of a study that the run belongs to, if it does.
        recognizer: What names a rule, in place of the target's.
    """
    config = run.config
    count = max(config.elites.rounds, 1 + math.ceil(SEEDS / config.evaluation.seeds))
    hearing = _Judge(
        Reevaluation(run, executor, count), recognizer or target.recognizer or _recognize()
    )
    strict, family = hearing.try_(target.strict), hearing.try_(target.family)
    leader = hearing.leader()
    history = run.history
    return Verdict(
        format=FORMAT,
        target=target.name,
        arm=arm,
        seed=config.seed,
        level=CONFIDENCE,
        seeds_per_task=(count - 1) * config.evaluation.seeds,
        strict=bool(strict.hits),
        family=bool(family.hits),
        best=leader in strict.hits,
        recognized=len(strict.ids),
        first=None if strict.first is None else _when(run, strict.first),
        family_first=None if family.first is None else _when(run, family.first),
        hit=hearing.describe_first(strict.hits),
        family_hit=hearing.describe_first(family.hits),
        closest=None if strict.hits else hearing.describe_first(strict.front),
        leader=None if leader is None else hearing.describe(leader),
        rivals=hearing.rivals_of(next(iter(strict.hits or strict.front), None), strict.ids),
        proposals=history.proposals,
        evaluations=len(history.candidates),
        core_seconds=round(history.worker_seconds, 1),
        verdict_core_seconds=round(hearing.rounds.seconds, 1),
        digest=run.digest(),
    )


def _recognize() -> Recognizer:
    from evosearch.recognize.recognize import recognize_rule

    return recognize_rule


@dataclass(frozen=True)
class _Found:
    """What a run holds of some forms; all are ids, best first."""

    ids: frozenset[int]
    """Candidates that were recognised."""
    front: list[int]
    """Those that no other one of them beats at its size and state."""
    hits: list[int]
    """Those on their front that stand on the run's."""
    first: int | None
    """The earliest candidate that counts, if there is a hit."""


class _Judge:
    """Decides on fronts, and asks for further rounds where they are open."""

    def __init__(self, rounds: Reevaluation, recognizer: Recognizer) -> None:
        self.rounds = rounds
        self._forms = {c.id: recognizer(c.program.matrix) for c in rounds.candidates.values()}
        self._simplified: dict[int, RuleSet] = {}

    def try_(self, form: Condition) -> _Found:
        """Return what the run holds of a form."""
        kin = frozenset(i for i, found in self._forms.items() if found and form(found))
        front = self._front(kin)
        hits = [i for i in front if self._stands(i, kin)]
        first = next((i for i in sorted(kin) if self._stands(i, kin)), None) if hits else None
        return _Found(kin, front, hits, first)

    def leader(self) -> int | None:
        """Return the run's single best program; None where no candidate passed all tiers."""
        count = self.rounds.config.elites.final
        while self.rounds.candidates:
            top = [c.id for c in self.rounds.ranking()[:count]]
            if self.rounds.complete(top[0]):
                return top[0]
            self.rounds.advance(top)
        return None

    def rivals_of(self, id_: int | None, kin: Collection[int]) -> tuple[Rival, ...]:
        """Return the best programs of any size that are ahead of a candidate in the mean."""
        if id_ is None:
            return ()
        rivals: list[Rival] = []
        for candidate in self.rounds.ranking():
            if candidate.id in kin or not self.rounds.complete(candidate.id):
                continue
            lead = self.rounds.ahead(candidate.id, id_)
            if lead.mean > 0.0 and len(rivals) < _RIVALS:
                rivals.append(
                    Rival(
                        **vars(self.describe(candidate.id)),
                        ahead=lead.mean,
                        ahead_se=lead.error,
                        beyond=lead.beyond(),
                        smaller=self._fits(candidate.id, id_),
                    )
                )
        return tuple(rivals)

    def describe_first(self, ids: Sequence[int]) -> JudgedCandidate | None:
        """Return the first of some candidates as a record; None where there are none."""
        return self.describe(ids[0]) if ids else None

    def describe(self, id_: int) -> JudgedCandidate:
        """Return a candidate as a record."""
        candidate = self.rounds.candidates[id_]
        form = self._forms[id_]
        assert candidate.score is not None  # as of all that are judged
        return JudgedCandidate(
            id=id_,
            form=form.name if form else None,
            constants={k: float(v) for k, v in form.constants.items()} if form else {},
            residual=float(form.residual) if form else None,
            score=candidate.score,
            score_se=candidate.error,
            rounds=candidate.rounds,
            statements=self._size(id_),
            state_memory=self._memory(id_),
            program=candidate.program_text,
            simplified=str(self._simplify(id_)),
        )

    def _front(self, kin: Collection[int]) -> list[int]:
        """Return those that no other of them beats at its size and state, all fully evaluated."""
        while True:
            front: list[int] = []
            for candidate in self.rounds.ranking():
                if candidate.id in kin and not any(self._fits(i, candidate.id) for i in front):
                    front.append(candidate.id)
            due = self.rounds.incomplete(front)
            if not due:
                return front
            self.rounds.advance(due)

    def _stands(self, id_: int, kin: Collection[int]) -> bool:
        """Whether no rival beats a candidate, once all that looks better is fully evaluated."""
        while id_ in self.rounds.candidates:
            due = self.rounds.incomplete([id_])
            if not due and self._beaten(id_, kin):
                return False
            due = due or self._open(id_, kin)
            if not due:
                return True
            self.rounds.advance(due)
        return False

    def _beaten(self, id_: int, kin: Collection[int]) -> bool:
        """Whether a fully evaluated rival scores better beyond the error."""
        return any(
            self.rounds.ahead(rival, id_).beyond()
            for rival in self._rivals(id_, kin)
            if self.rounds.complete(rival)
        )

    def _open(self, id_: int, kin: Collection[int]) -> list[int]:
        """Return the strongest rivals that lack rounds, a pack of them."""
        open_ = self.rounds.incomplete(self._rivals(id_, kin))
        return open_[: self.rounds.config.budget.pack]

    def _rivals(self, id_: int, kin: Collection[int]) -> list[int]:
        """Return what looks better at no more size and state, strongest first."""
        level = self.rounds.candidates[id_].score
        assert level is not None
        better = (c for c in self.rounds.ranking() if c.score is not None and c.score > level)
        return [c.id for c in better if c.id not in kin and self._fits(c.id, id_)]

    def _fits(self, id_: int, limit: int) -> bool:
        """Whether a program has no more statements and no more state than another."""
        return self._memory(id_) <= self._memory(limit) and self._size(id_) <= self._size(limit)

    def _size(self, id_: int) -> int:
        return len(self._simplify(id_).matrix.body)

    def _memory(self, id_: int) -> int:
        return self._simplify(id_).matrix.state_memory

    def _simplify(self, id_: int) -> RuleSet:
        """Return a program with a simplified rule for matrices.

        sympy is not asked: it answers within a deadline, and no machine's speed may decide a size.
        """
        if id_ not in self._simplified:
            from evosearch.simplify import simplify_rule
            from evosearch.simplify.algebra import Algebra

            program = self.rounds.candidates[id_].program
            matrix, *_ = simplify_rule(program.matrix, exact=False, algebra=Algebra(0.0))
            self._simplified[id_] = RuleSet(matrix, program.rest)
        return self._simplified[id_]


def _when(run: Run, id_: int) -> Moment:
    """Return what had been spent when a candidate's pack was committed."""
    proposals = evaluations = 0
    seconds = 0.0
    for record in (record.body for record in read(run.directory)):
        seconds += record.get("info", {}).get("seconds", 0.0)
        if record["kind"] == "pack":
            proposals += record["proposals"]
            evaluations += len(record["candidates"])
            if any(row["id"] == id_ for row in record["candidates"]):
                break
    mutation = run.candidate(id_).mutation
    return Moment(id_, mutation, proposals, evaluations, round(seconds, 1))
