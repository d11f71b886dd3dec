"""Journal records as rows of the archive's two tables, and the layout of those records.

    {"kind": "reference", "task": "digits", "values": [0.31, 0.29]}
    {"kind": "pack", "pack": 3, "candidates": [
      {"id": 17, "parents": [4], "mutation": "insert", "program": "def ...", "canonical": "def ...",
       "fingerprint": "0f3a", "statements": 4, "states": 1, "state_memory": 1.0, "cost": 9.0,
       "status": "ok", "message": "", "tier": 0, "rounds": 1, "score": 0.12, "score_se": 0.01,
       "results": [{"task": "digits", "replicate": 0, "seed": 5, "score": 0.12, "best": 0,
         "trials": [{"lr": 0.001, "rest_lr": 0.002, "ratio": 1.0, "value": 0.27}]}]}]}
    {"kind": "confirm", "pack": 4, "candidates": [
      {"id": 17, "rounds": 2, "score": 0.1, "score_se": 0.005, "results": [...]}]}

A `reference` is AdamW's end value on each replicate of a task; all precede the first pack.
In the journal "program" is the genome, and "canonical" the program as it was evaluated: the words
of the first release, kept so that digests of histories stay comparable. Nothing else says so.
A `pack` introduces candidates; a `confirm` brings new results of known ones and replaces those of
their fields that it repeats. Other keys are allowed and stay in the journal alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from itertools import takewhile
from typing import Any, Final, NotRequired, Self

from typing_extensions import TypedDict

from evosearch.storage.codec import Record

__all__ = [
    "CARRIERS",
    "FINISHED",
    "KEYS",
    "Counts",
    "Row",
    "reference_values",
    "require_layout",
]

Row = dict[str, Any]

CARRIERS: Final = frozenset({"pack", "confirm"})
"""Kinds of records of committed packs, which are numbered in this order from 0."""
FINISHED: Final = "finished"
"""The text of the note that ends the journal of a run whose budget is spent."""
KEYS: Final = {"program": "canonical", "genome": "program"}
"""Column to key of the candidates' texts, which have other names in the journal."""


class _Trial(TypedDict):
    lr: float
    rest_lr: float
    ratio: float
    value: float | None


class _Result(TypedDict):
    task: str
    replicate: int
    seed: int
    score: float
    best: int
    edge: bool
    trials: list[_Trial]


class _Again(TypedDict):
    id: int
    status: str
    message: str
    tier: int
    rounds: int
    score: float | None
    score_se: float | None
    results: list[_Result]


class _Fresh(_Again):
    parents: list[int]
    mutation: str
    program: str
    canonical: str
    fingerprint: str
    statements: int
    states: int
    state_memory: float
    cost: float


class _Info(TypedDict):
    seconds: NotRequired[float]
    closed: NotRequired[list[int]]


class _Committed(TypedDict):
    pack: int
    round: NotRequired[int]
    proposals: NotRequired[int]
    cache_hits: NotRequired[int]
    info: NotRequired[_Info]


class _Pack(_Committed):
    candidates: list[_Fresh]


class _Confirmation(_Committed):
    candidates: list[_Again]


class _Reference(TypedDict):
    task: str
    values: list[float | None]
    program: NotRequired[str]
    edge: NotRequired[bool]
    losers: NotRequired[list[list[str | float | None]]]


class _Extended(TypedDict):
    evaluations: int


class _Fault(TypedDict):
    message: str


_LAYOUTS: Final = {
    "pack": _Pack,
    "confirm": _Confirmation,
    "reference": _Reference,
    "extended": _Extended,
    "fault": _Fault,
}
"""Kind of record to what it must hold; records of other kinds are for people."""
_NEEDED: Final = {
    "reference": frozenset({"program", "edge", "losers"}),
    "pack": frozenset({"round", "proposals", "cache_hits", "info"}),
    "confirm": frozenset({"round", "proposals", "cache_hits", "info"}),
}
"""What a search has to find in them besides, to go on."""


def require_layout(record: Record, whole: bool = False) -> None:
    """Check that a record is laid out like the above, and refers to what may be there.

    Args:
        record: The record.
        whole: It must also say what a search needs to go on from it.

    Raises:
        CorruptArchive: It is not; the message says where, what was expected and what was found.
    """
    if record.kind not in _LAYOUTS:
        return
    from pydantic import ValidationError

    try:
        _adapter(record.kind).validate_python(record.body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = first["msg"][0].lower() + first["msg"][1:]
        found = repr(first["input"])
        shown = found if len(found) <= 60 else f"{found[:57]}..."
        raise record.misfit(f"{place}: {reason}, found {shown}") from None
    needed = _NEEDED.get(record.kind, frozenset()) if whole else frozenset()
    if missing := sorted(needed - record.body.keys()):
        raise record.misfit(f'expected a "{missing[0]}", found none')
    for row in record.body["candidates"] if record.kind in CARRIERS else ():
        ids = range(row["id"])
        if strange := [parent for parent in row.get("parents", ()) if parent not in ids]:
            raise record.misfit(
                f"candidate {row['id']}: expected parents with lower ids, found {strange[0]}"
            )
        for result in row["results"]:
            trials = range(len(result["trials"]))
            if trials and result["best"] not in trials:
                raise record.misfit(
                    f'candidate {row["id"]}: expected "best" to be the number of one of '
                    f"{len(trials)} trials, found {result['best']}"
                )


@cache
def _adapter(kind: str) -> Any:
    from pydantic import ConfigDict, TypeAdapter, with_config

    return TypeAdapter(with_config(ConfigDict(strict=True))(_LAYOUTS[kind]))


@dataclass
class Counts:
    """What records add up to besides their candidates."""

    packs: int = 0
    """Committed packs, re-evaluations included."""
    confirmations: int = 0
    """Re-evaluations of single candidates."""
    proposals: int = 0
    """Children made."""
    cache_hits: int = 0
    """Children that computed what was known already, so that nothing was evaluated."""
    seconds: float = 0.0
    """Time that workers spent on packs and baselines."""
    faults: list[str] = field(default_factory=list)
    """What went wrong with the machinery, in sentences."""
    extended: int | None = None
    """The budget that the run was extended to; None: it has that of its configuration."""
    finished: bool | None = None
    """Whether its budget is spent; None where nothing is said of that."""

    def take(self, body: Mapping[str, Any]) -> None:
        """Take in a record.

        Raises:
            LookupError, TypeError, AttributeError: It is not laid out like the above.
        """
        kind = body["kind"]
        if kind in CARRIERS:
            self.packs += 1
            self.confirmations += len(body["candidates"]) if kind == "confirm" else 0
            self.proposals += body.get("proposals", 0)
            self.cache_hits += body.get("cache_hits", 0)
        elif kind == "fault":
            self.faults.append(body["message"])
        elif kind == "extended":
            self.extended, self.finished = body["evaluations"], False
        elif kind == "note" and body.get("text") == FINISHED:
            self.finished = True
        self.seconds += body.get("info", {}).get("seconds", 0.0)

    def add(self, later: Counts) -> None:
        """Take in what later records add up to."""
        self.packs += later.packs
        self.confirmations += later.confirmations
        self.proposals += later.proposals
        self.cache_hits += later.cache_hits
        self.seconds += later.seconds
        self.faults += later.faults
        self.extended = self.extended if later.extended is None else later.extended
        self.finished = self.finished if later.finished is None else later.finished

    def to_json(self) -> Row:
        """Return it as plain JSON."""
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned.

        Raises:
            LookupError, TypeError: It is something else.
        """
        return cls(**{entry.name: data[entry.name] for entry in fields(cls)})


def reference_values(records: Iterable[Record]) -> dict[str, list[float | None]]:
    """Return task to the reference's end values, from a journal's beginning.

    Raises:
        CorruptArchive: A reference is not laid out like the above.
    """
    found: dict[str, list[float | None]] = {}
    for record in takewhile(lambda record: record.kind not in CARRIERS, records):
        if record.kind == "reference":
            task, values = record.body.get("task"), record.body.get("values")
            if not isinstance(task, str) or values is None or not _are_numbers(values):
                raise record.misfit('expected a "task" and numbers as "values" of the reference')
            found[task] = values
    return found


def _are_numbers(values: Any) -> bool:
    numbers = (int, float, type(None))
    return isinstance(values, list) and all(isinstance(v, numbers) for v in values)
