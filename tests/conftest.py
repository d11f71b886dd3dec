"""Settings of the whole test run: one thread, and examples that are the same every time."""

import primitives  # noqa: F401, I001 - first: it sets what MKL reads when torch starts it

import gc
import os
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from hypothesis import settings

from evosearch.evolution import garbage
from proxy_tasks import registry
from proxy_tasks.user_tasks import VARIABLE

torch.set_num_threads(1)
# Ray gives its workers niceness 15: on a busy machine they would wait for what tests time.
os.environ.setdefault("RAY_worker_niceness", "0")
settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
settings.load_profile("fixed")


@pytest.fixture(scope="session", autouse=True)
def what_is_loaded_is_looked_at_once() -> Iterator[None]:
    """A search begins with a full collection, which walks through all that the tests loaded.

    That takes longer than most of the searches here; `test_garbage.py` has it as it is.
    """
    gc.collect()
    gc.freeze()
    with pytest.MonkeyPatch.context() as patch:
        nothing = SimpleNamespace(collect=int, freeze=int, unfreeze=int)
        patch.setattr(garbage, "gc", nothing)
        yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def own_tasks_end_with_their_test() -> Iterator[None]:
    """Commands that read a file of tasks in this process leave them to no other test."""
    before, named = dict(registry._INDEX), os.environ.get(VARIABLE)
    yield
    for name in registry._INDEX.keys() - before.keys():
        del registry._INDEX[name]
    if named is None:
        os.environ.pop(VARIABLE, None)
    else:
        os.environ[VARIABLE] = named
