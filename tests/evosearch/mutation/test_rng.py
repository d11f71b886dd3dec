from __future__ import annotations

import statistics
import subprocess
import sys

from evosearch.mutation.rng import Rng


def stream(*key: int | str) -> list[float]:
    rng = Rng(*key)
    return [rng.random() for _ in range(5)]


def test_a_stream_depends_on_its_key_alone() -> None:
    assert stream(1, "pack", 7) == stream(1, "pack", 7)
    keys = [(1, "pack", 7), (1, "pack", 8), (1, "wrap", 7), (2, "pack", 7), (1, "pack"), (), ("1",)]
    assert len({tuple(stream(*key)) for key in keys}) == len(keys)
    code = (
        "from evosearch.mutation.rng import Rng\n"
        "r = Rng(1, 'pack', 7)\nprint([r.random() for _ in [0] * 5])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(stream(1, "pack", 7))


def test_the_values_are_those_of_every_version() -> None:
    """Python promises the values of `random.random`; a change would rewrite every history."""
    assert stream(0, "golden")[:2] == [0.5021639157775092, 0.7483884691481499]


def test_draws_are_uniform() -> None:
    rng = Rng("uniform")
    counts = [0] * 4
    for _ in range(4000):
        counts[rng.below(4)] += 1
    assert all(900 < count < 1100 for count in counts)
    letters = [rng.pick("abc") for _ in range(3000)]
    assert all(900 < letters.count(letter) < 1100 for letter in "abc")
    assert 700 < sum(rng.chance(0.25) for _ in range(3000)) < 800


def test_weights() -> None:
    rng = Rng("weights")
    drawn = [rng.weighted("abc", (1.0, 1.0, 4.0)) for _ in range(2000)]
    assert drawn.count("b") == 0
    assert 400 < drawn.count("a") < 600


def test_normal_numbers() -> None:
    rng = Rng("normal")
    values = [rng.normal() for _ in range(4000)]
    assert abs(statistics.fmean(values)) < 0.05
    assert abs(statistics.stdev(values) - 1.0) < 0.05
    assert 0.66 < sum(abs(value) < 1.0 for value in values) / 4000 < 0.71
