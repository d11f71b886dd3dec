from __future__ import annotations

import gc

import pytest

from evosearch.evolution.garbage import collected_before


@collected_before()
def failing() -> None:
    assert gc.get_freeze_count() > 1000
    raise KeyError


def test_what_was_there_is_left_alone_and_only_meanwhile() -> None:
    assert gc.get_freeze_count() == 0
    for _ in range(2):
        with pytest.raises(KeyError):
            failing()
        assert gc.get_freeze_count() == 0
