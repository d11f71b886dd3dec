from __future__ import annotations

import gc
import tempfile
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evosearch.errors import RunError
from evosearch.storage import spilled_list as module
from evosearch.storage.spilled_list import SpilledList

VALUES = st.tuples(st.integers(), st.text(max_size=40), st.floats(allow_nan=False))
STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 50), VALUES), max_size=60)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make it write often and keep little at hand."""
    monkeypatch.setattr(module, "_TAIL", 200)
    monkeypatch.setattr(module, "_AT_HAND", 3)


@pytest.mark.usefixtures("small")
@settings(max_examples=50)
@given(STEPS)
def test_it_is_a_list(steps: list[tuple[bool, int, tuple[int, str, float]]]) -> None:
    found: SpilledList[tuple[int, str, float]] = SpilledList()
    expected: list[tuple[int, str, float]] = []
    for replaces, index, value in steps:
        if replaces and expected:
            found[index % len(expected)] = expected[index % len(expected)] = value
        else:
            found.append(value)
            expected.append(value)
        assert found[index % len(expected)] == expected[index % len(expected)]
    assert list(found) == expected
    assert len(found) == len(expected)
    assert found[1:7:2] == expected[1:7:2]
    if expected:
        assert found[-1] == expected[-1]


def test_beyond_its_end_there_is_nothing() -> None:
    found = SpilledList[int]()
    found.append(1)
    for index in (1, -2):
        with pytest.raises(IndexError):
            found[index]


@pytest.mark.usefixtures("small")
def test_a_value_larger_than_all_that_is_collected() -> None:
    found = SpilledList[str]()
    texts = ["a" * 1000, "b", "c" * 199, "d" * 5000, "e"]
    for text in texts:
        found.append(text)
    assert list(found) == texts


@pytest.mark.usefixtures("small")
def test_a_full_disk_is_said_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    found = SpilledList[str]()
    found.append("a" * 150)

    def full(*_: object, **__: object) -> object:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(tempfile, "TemporaryFile", full)
        with pytest.raises(RunError, match=r"No space left.*TMPDIR"):
            found[0] = "b" * 150
        with pytest.raises(RunError):
            found.append("b" * 150)
    assert list(found) == ["a" * 150]
    found[0] = "c" * 150
    found.append("d")
    assert list(found) == ["c" * 150, "d"]


class Thing:
    """Something whose life can be watched."""

    def __init__(self, number: int) -> None:
        self.number = number


@pytest.mark.usefixtures("small")
def test_only_the_values_put_in_or_fetched_last_stay_in_memory() -> None:
    found = SpilledList[Thing]()
    alive: list[weakref.ref[Thing]] = []

    def used(thing: Thing) -> int:
        alive.append(weakref.ref(thing))
        return thing.number

    def left() -> list[int]:
        gc.collect()
        return [thing.number for thing in (reference() for reference in alive) if thing is not None]

    for number in range(20):
        thing = Thing(number)
        found.append(thing)
        used(thing)
    del thing
    assert left() == [17, 18, 19]
    assert used(found[4]) == 4
    assert left() == [18, 19, 4]
    found[18] = Thing(-18)
    assert used(found[18]) == -18
    assert used(found[5]) == 5
    assert left() == [4, -18, 5]
