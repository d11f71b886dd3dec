"""Seeds: every random stream of an evaluation, derived by name and never by order.

A seed is a hash of what it is for, so it is the same in every process, on every machine and under
every version of Python and numpy.
"""

from __future__ import annotations

import hashlib
import json

__all__ = ["derive", "evaluation_seed", "grid_seed"]


def derive(*parts: str | int) -> int:
    """Return a 63-bit seed that depends on all parts and on nothing else."""
    text = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def evaluation_seed(run_seed: int, task: str, replicate: int) -> int:
    """Return the seed of one replicate: initial weights, order of the data, everything drawn.

    All candidates of a run share it, hence their scores are paired.
    """
    return derive("evaluation", run_seed, task, replicate)


def grid_seed(task: str) -> int:
    """Return the seed of the gradients that learning rates are centred with.

    It depends on the task alone: a rule's learning rates are the same in every run and replicate.
    """
    return derive("grid", task)
