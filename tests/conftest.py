"""Settings of the whole test run: one thread, and examples that are the same every time."""

import primitives  # noqa: F401, I001 - first: it sets what MKL reads when torch starts it

import os

import torch
from hypothesis import settings

torch.set_num_threads(1)
# Ray gives its workers niceness 15: on a busy machine they would wait for what tests time.
os.environ.setdefault("RAY_worker_niceness", "0")
settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
settings.load_profile("fixed")
