from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from evosearch.evolution import garbage
from evosearch.evolution.garbage import collected_before


@collected_before()
def failing() -> None:
    assert gc.get_freeze_count() > 1000
    raise KeyError


@pytest.fixture
def as_in_a_search(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(garbage, "gc", gc)
    gc.unfreeze()
    yield
    gc.freeze()


@pytest.mark.usefixtures("as_in_a_search")
def test_what_was_there_is_left_alone_and_only_meanwhile() -> None:
    assert gc.get_freeze_count() == 0
    for _ in range(2):
        with pytest.raises(KeyError):
            failing()
        assert gc.get_freeze_count() == 0
