"""The registry's names, splits and error messages."""

import pytest

from proxy_tasks.registry import HELD_OUT, TASKS, get, refuse_held_out
from proxy_tasks.task import Split, TaskSize


def test_every_split_has_tasks_of_different_character() -> None:
    for split in Split:
        families = {spec.task.family for spec in TASKS.values() if spec.split is split}
        assert len(families) >= (3 if split is Split.HELD_OUT else 4), split


def test_families_are_held_out_whole() -> None:
    for split in Split:
        families = {spec.task.family for spec in TASKS.values() if spec.split is split}
        assert (
            families == set(HELD_OUT) if split is Split.HELD_OUT else not families & set(HELD_OUT)
        )


@pytest.mark.parametrize("name", [n for n, s in TASKS.items() if s.split is Split.HELD_OUT])
def test_what_is_held_out_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"no held-out task in a search, found {name}"):
        refuse_held_out(["digits_mlp", name], "a search")
    refuse_held_out(["digits_mlp", "char_lm_scale"], "a search")


def test_search_has_cheap_tasks_and_real_data() -> None:
    files = {"cifar10", "token_files"}  # a user's, of any size
    search = {n: s.task for n, s in TASKS.items() if s.split is Split.SEARCH and n not in files}
    assert {task.size for task in search.values()} == {TaskSize.MICRO, TaskSize.SMALL}
    assert {"digits_mlp", "char_lm"} <= set(search)


def test_larger_variants_are_larger_than_those_searched_on() -> None:
    def work(split: Split, family: str) -> list[float]:
        chosen = (s.task for s in TASKS.values() if s.split is split and s.task.family == family)
        return [task.flops * task.steps for task in chosen]

    for family in ("char_lm", "varying_batch", "zipf_bigram", "matrix_factorization"):
        assert min(work(Split.LARGER, family)) > 5 * max(work(Split.SEARCH, family))


def test_names_are_the_specs_own() -> None:
    assert all(name == spec.name for name, spec in TASKS.items())


def test_fields_can_be_replaced() -> None:
    task = get("digits_mlp", steps=7, hidden=(16,))
    assert task.steps == 7
    assert task.parameters[0].shape == (16, 64)
    assert get("digits_mlp") == TASKS["digits_mlp"].task


def test_an_unknown_task_is_named_with_its_nearest_neighbour() -> None:
    with pytest.raises(ValueError, match=r"'digit_mlp'; did you mean 'digits_mlp'\?.*char_lm"):
        get("digit_mlp")


def test_an_unknown_field_is_named_with_its_nearest_neighbour() -> None:
    with pytest.raises(ValueError, match=r"no field 'step'; did you mean 'steps'\?"):
        get("digits_mlp", step=3)


@pytest.mark.parametrize(
    ("field", "value"),
    [("steps", 0), ("batch", -1), ("hidden", ()), ("hidden", [8, 0]), ("steps", 2.5)],
)
def test_a_value_out_of_range_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        get("digits_mlp", **{field: value})


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("least_squares", "kappa", 0.5),
        ("varying_batch", "noise", float("nan")),
        ("char_lm", "path", 3),
    ],
)
def test_numbers_and_text_are_checked_too(name: str, field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        get(name, **{field: value})


def test_a_list_becomes_a_tuple() -> None:
    assert get("digits_mlp", hidden=[8, 8]) == get("digits_mlp", hidden=(8, 8))


def test_heads_share_the_width() -> None:
    with pytest.raises(ValueError, match="multiple of heads, found 32 and 3"):
        _ = get("char_lm", heads=3).parameters
