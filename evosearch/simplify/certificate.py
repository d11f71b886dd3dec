"""Certificates: what a simplification did, step by step, and why each step is allowed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from evosearch.language.formula import latex, pseudo_code
from evosearch.language.rule import RuleSet

__all__ = ["PairedTest", "RecognizedProgram", "Simplified", "Step"]


class RecognizedProgram(Protocol):
    """What a program was recognized as; its text is a name with constants."""

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        ...


@dataclass(frozen=True)
class PairedTest:
    """A comparison of two programs on the same tasks and fresh seeds."""

    difference: float
    """Mean score of the program after minus before; negative is a loss."""
    low: float
    high: float
    """Ends of the difference's interval, each at 95 % confidence over all looks of the test."""
    pairs: int
    """Paired values: tasks times seeds."""
    margin: float
    """The loss that was allowed."""
    tasks: tuple[str, ...]
    trainings: int
    """Training runs that the test took."""
    seconds: float
    """Core-seconds that the test took."""

    def __str__(self) -> str:
        return (
            f"score {self.difference:+.3f} [{self.low:+.3f}, {self.high:+.3f}] in {self.pairs} "
            f"pairs; allowed loss {self.margin:g}"
        )


@dataclass(frozen=True)
class Step:
    """One change of a rule, made or rejected."""

    rule: str
    """Which rule: "matrix" or "rest"."""
    stage: str
    """"liveness", "repetition", "algebra", "sympy", "states", "scale", "style", "tolerance",
    "rounding" or "ablation"."""
    identity: str
    """The rewrite, as an equation or in words."""
    licence: str
    """The law or the test that allows it."""
    before: str
    after: str
    """What changed: the expressions, or the whole rule's text where more than one changed."""
    deviation: float
    """Largest relative deviation on the probe trajectories; infinite where only one is finite."""
    accepted: bool = True
    factor: float = 1.0
    """The update is this many times smaller than before; the learning rate takes the factor."""
    program: str = ""
    """The rule's text after the step; empty for a rejected one."""
    test: PairedTest | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain data; a deviation that is not finite is null."""
        return {
            "rule": self.rule,
            "stage": self.stage,
            "identity": self.identity,
            "licence": self.licence,
            "before": self.before,
            "after": self.after,
            "deviation": self.deviation if math.isfinite(self.deviation) else None,
            "accepted": self.accepted,
            "factor": self.factor,
            "program": self.program,
            "test": None if self.test is None else dict(vars(self.test)),
        }


@dataclass(frozen=True)
class Simplified:
    """A simplified program and its certificate."""

    original: RuleSet
    program: RuleSet
    steps: tuple[Step, ...]
    """All steps in order, the rejected ones among them."""
    deviation: float
    """Largest relative deviation of the program after the exact steps from the original."""
    recognition: RecognizedProgram | None = None
    """The known optimizer that the program is, if it is one."""

    @property
    def accepted(self) -> tuple[Step, ...]:
        """The steps that were made."""
        return tuple(step for step in self.steps if step.accepted)

    @property
    def rejected(self) -> tuple[Step, ...]:
        """The steps that failed their check."""
        return tuple(step for step in self.steps if not step.accepted)

    def factor(self, rule: str = "matrix") -> float:
        """Return the number by which a rule's learning rate must be multiplied."""
        return math.prod(step.factor for step in self.accepted if step.rule == rule)

    def story(self) -> str:
        """Return the certificate as text for people."""
        lines = ["Before:", "", _indented(str(self.original)), ""]
        for number, step in enumerate(self.steps, start=1):
            lines += [*_told(number, step), ""]
        lines += ["After:", "", _indented(str(self.program)), ""]
        lines += [_indented(pseudo_code(self.program)), "", _indented(latex(self.program)), ""]
        lines += [f"Statements: {self.original.size} -> {self.program.size}"]
        memory = (rules.matrix.state_memory for rules in (self.original, self.program))
        lines += [f"State memory in parameter-sized buffers: {' -> '.join(map(str, memory))}"]
        lines += [f"Largest relative deviation of the exact steps: {self.deviation:.2g}"]
        for rule in ("matrix", "rest"):
            if self.factor(rule) != 1.0:
                where = "" if self.program.rest is None else f" of the {rule} rule"
                lines += [f"Multiply the learning rate{where} by {self.factor(rule):.6g}"]
        tests = [step.test for step in self.steps if step.test is not None]
        if tests:
            runs, seconds = sum(t.trainings for t in tests), sum(t.seconds for t in tests)
            names = ", ".join(dict.fromkeys(name for t in tests for name in t.tasks))
            lines += [f"Tests: {len(tests)}, {runs} training runs, {seconds:.0f} core-seconds"]
            lines += [f"Tasks: {names}"]
        if self.recognition is not None:
            lines += [f"This is {self.recognition}."]
        return "\n".join(lines) + "\n"

    def to_json(self) -> dict[str, Any]:
        """Return both programs' text, the recognized name and all steps as plain data."""
        return {
            "original": str(self.original),
            "program": str(self.program),
            "name": None if self.recognition is None else str(self.recognition),
            "recognition": None if self.recognition is None else self.recognition.to_json(),
            "pseudo_code": pseudo_code(self.program),
            "latex": latex(self.program),
            "statements": [self.original.size, self.program.size],
            "state_memory": [r.matrix.state_memory for r in (self.original, self.program)],
            "factor": self.factor(),
            "rest_factor": self.factor("rest"),
            "deviation": self.deviation if math.isfinite(self.deviation) else None,
            "steps": [step.to_json() for step in self.steps],
        }


def _told(number: int, step: Step) -> list[str]:
    verdict = "" if step.accepted else " REJECTED"
    where = "" if step.rule == "matrix" else f" in {step.rule}"
    lines = [f"{number}. [{step.stage}{where}]{verdict} {step.identity}"]
    if "\n" in step.before + step.after:
        lines += ["   from", _indented(step.before, 6), "   to", _indented(step.after, 6)]
    elif step.identity != f"{step.before} -> {step.after}":
        lines += [f"   {step.before}  ->  {step.after or 'nothing'}"]
    lines += [f"   {'because' if step.accepted else 'not done'}: {step.licence}"]
    lines += [f"   deviation on the probes {step.deviation:.2g}"]
    if step.factor != 1.0:
        lines += [f"   the learning rate takes a factor of {step.factor:.6g}"]
    if step.test is not None:
        lines += [f"   {step.test}"]
    return lines


def _indented(text: str, width: int = 4) -> str:
    return "\n".join(" " * width + line if line else line for line in text.rstrip("\n").split("\n"))
