"""What PyTorch asks of an optimizer, as checks over its own `OptimizerInfo`.

The list follows the tests of torch.optim (test/test_optim.py), in our own words, and adds what its
users rely on: gradients left alone, closures, pickling, averaged weights, convolutions. A check
raises where an optimizer falls short; `CHECKS` is all of them. They know nothing of this project,
so that any optimizer can be held against them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import checks_of_arguments
import checks_of_gradients
import checks_of_state
import checks_of_training
from optimizer_subject import Subject

__all__ = ["CHECKS"]

CHECKS: Final[tuple[Callable[[Subject], None], ...]] = tuple(
    vars(module)[name]
    for module in (checks_of_arguments, checks_of_training, checks_of_gradients, checks_of_state)
    for name in module.__all__
)
