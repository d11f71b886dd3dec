"""Groups of lanes cover a pack exactly and keep to the memory they are given."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from proxy_tasks.kernels import chunks
from proxy_tasks.kernels.chunks import by_lanes, groups
from proxy_tasks.registry import get

CPU = torch.device("cpu")


@given(st.integers(1, 600), st.floats(1, 2e8))
def test_groups_cover_the_lanes_in_order(lanes: int, lane_bytes: float) -> None:
    parts = list(groups(lanes, lane_bytes, CPU))
    covered = [lane for part in parts for lane in range(lanes)[part]]
    assert covered == list(range(lanes))
    sizes = [part.stop - part.start for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) == 1 or max(sizes) * lane_bytes <= chunks.CACHE_BYTES


def test_a_gradient_in_groups_is_the_gradient_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    task = get("digits_mlp", steps=1)
    weights = {k: torch.stack([v, v + 0.1, v - 0.1]) for k, v in task.initialize(0).items()}
    batch = tuple(part[0].expand(3, -1) for part in task.draw(0))
    results = []
    for budget in (1e12, 1.0):
        monkeypatch.setattr(chunks, "CACHE_BYTES", budget)
        out = {k: torch.empty_like(v) for k, v in weights.items()}
        task.gradient(weights, batch, out)
        results.append(out)
    assert all(torch.equal(results[0][k], results[1][k]) for k in weights)


@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_values_by_lanes_are_in_order(size: int) -> None:
    weights, batch = {"w": torch.arange(5.0)}, (torch.arange(5),)
    values = by_lanes(lambda w, b: w["w"] * 10 + b[0], weights, batch, lanes=size)
    assert values.tolist() == [0, 11, 22, 33, 44]
