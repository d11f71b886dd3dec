"""The generated function of one rule, before it is put into a file."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RuleCode"]


@dataclass(frozen=True)
class RuleCode:
    """The body of a function that advances the states in place and returns the update."""

    parameters: tuple[str, ...]
    """``w`` and ``g`` if they are read, the states, ``t`` if it is read, the hyperparameters."""
    states: dict[int, str]
    """The variable of each state's list, by the state's value."""
    lines: tuple[str, ...]
    kernels: tuple[str, ...]
    """The functions of `primitives.kernels` that are called."""
    stacked: bool
    """Whether all tensors must be matrices of one shape."""
    fresh: bool
    """Whether the caller may overwrite the update: it is neither a state nor the gradient."""
    quotient: bool
    """Whether the update is returned as numerators and denominators."""
