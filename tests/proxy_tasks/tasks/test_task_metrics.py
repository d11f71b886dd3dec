"""Metrics with exact floors: against large samples, and at the true solution."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from proxy_tasks.data.digits import digits
from proxy_tasks.task import Task, generator
from proxy_tasks.tasks.least_squares import LeastSquares
from proxy_tasks.tasks.matrix_factorization import MatrixFactorization
from proxy_tasks.tasks.two_sided_least_squares import TwoSidedLeastSquares
from proxy_tasks.tasks.varying_batch import VaryingBatch
from proxy_tasks.tasks.zipf_bigram import ZipfBigram


def lanes(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.double().unsqueeze(0) for name, value in weights.items()}


def metric(task: Task, weights: dict[str, Tensor]) -> float:
    exam = tuple(part.unsqueeze(0) for part in task.validation(0))
    return float(task.evaluate(lanes(weights), exam))


def sampled_losses(task: Task, weights: dict[str, Tensor]) -> np.ndarray:
    batches = zip(*task.draw(0), strict=True)
    w = lanes(weights)
    return np.array([float(task.loss(w, tuple(p.unsqueeze(0) for p in b))) for b in batches])


@pytest.mark.parametrize(
    "task",
    [
        LeastSquares(),
        TwoSidedLeastSquares(batch=64, steps=200),
        MatrixFactorization(),
        ZipfBigram(batch=2000),
    ],
    ids=lambda task: task.family,
)
def test_the_metric_is_the_expected_loss(task: Task) -> None:
    weights = task.initialize(0)
    losses = sampled_losses(task, weights)
    error = losses.std() / len(losses) ** 0.5
    assert abs(losses.mean() - metric(task, weights)) < 5 * error


def test_a_varying_batch_sums_what_the_metric_expects() -> None:
    task = VaryingBatch(spread=0.5, steps=3000, inputs=8, decades=1.0, noise=0.5)
    weights = task.initialize(0)
    (truth,) = task.validation(0)
    there, here = sampled_losses(task, {"weight": truth}), sampled_losses(task, weights)
    expected = metric(task, weights) / metric(task, {"weight": truth})
    assert here.mean() / there.mean() == pytest.approx(expected, rel=0.05)


def test_batch_sizes_vary_as_declared() -> None:
    task = VaryingBatch(spread=1.7, cap=8.0, batch=32, noise=1.0, steps=4000)
    (truth,) = task.validation(0)
    losses = sampled_losses(task, {"weight": truth})  # the noise alone: chi-squared over the batch
    sizes = 2 * losses  # in nominal batches, nearly
    assert sizes.max() == pytest.approx(8, rel=0.3)
    assert np.median(sizes) == pytest.approx(1, rel=0.1)
    constant = replace(task, spread=0.0)
    assert (2 * sampled_losses(constant, {"weight": truth})).std() == pytest.approx(0.25, rel=0.1)


@pytest.mark.parametrize("task", [LeastSquares(), TwoSidedLeastSquares(), VaryingBatch()])
def test_the_truth_reaches_the_floor(task: Task) -> None:
    (truth,) = task.validation(0)
    assert metric(task, {"weight": truth}) == pytest.approx(task.floor, rel=1e-12)


def test_the_true_factors_reach_the_floor() -> None:
    task = MatrixFactorization()
    (truth,) = task.validation(0)
    u, s, v = torch.linalg.svd(truth.double())
    k = task.rank
    assert float(s[0] / s[k - 1]) == pytest.approx(task.kappa, rel=1e-3)
    assert float(s[k]) < 1e-4
    weights = {"left": u[:, :k] * s[:k].sqrt(), "right": v[:k].T * s[:k].sqrt()}
    assert metric(task, weights) == pytest.approx(task.floor, rel=1e-9)


def test_the_zipf_floor_is_the_entropy_of_what_is_drawn() -> None:
    task = ZipfBigram(vocabulary=8, batch=100_000, steps=4)
    words, after = (part.flatten().numpy() for part in task.draw(0))
    counts = np.zeros((8, 8))
    np.add.at(counts, (words, after), 1)
    joint = counts / counts.sum()
    conditional = joint / joint.sum(1, keepdims=True)
    entropy = -(joint * np.log(conditional)).sum()
    assert task.floor == pytest.approx(entropy, abs=3e-3)
    frequency = joint.sum(1)
    assert frequency[0] / frequency[3] == pytest.approx(4, rel=0.05)


def test_least_squares_has_the_condition_number_it_says() -> None:
    task = LeastSquares(batch=200, kappa=50.0, inputs=6)
    x = task.draw(0)[0].flatten(0, 1).numpy()
    values = np.linalg.eigvalsh(x.T @ x / len(x))
    assert values[-1] / values[0] == pytest.approx(50, rel=0.1)
    assert values.sum() == pytest.approx(1, rel=0.02)


def test_two_sided_least_squares_has_the_condition_numbers_it_says() -> None:
    task = TwoSidedLeastSquares(batch=200, steps=100, kappa=50.0, inputs=6, output_kappa=20.0)
    x = task.draw(0)[0].flatten(0, 1).numpy()
    inputs = np.linalg.eigvalsh(x.T @ x / len(x))
    outputs = np.linalg.eigvalsh((task.mapping @ task.mapping.T).numpy())
    assert inputs[-1] / inputs[0] == pytest.approx(50, rel=0.1)
    assert outputs[-1] / outputs[0] == pytest.approx(20)
    assert inputs.sum() == pytest.approx(1, rel=0.02)
    assert outputs.mean() == pytest.approx(1)


def test_digits_are_split_and_standardised() -> None:
    images, labels = digits(torch.float64, torch.device("cpu"))
    assert images.shape == (1797, 64)
    assert float(images[:1347].mean()) == pytest.approx(0, abs=1e-12)
    assert float(images[:1347].std()) == pytest.approx(1)
    assert labels[1347:].bincount().min() > 30


def test_streams_of_one_seed_are_unrelated() -> None:
    draws = [torch.randn(4000, generator=generator(s, p)) for s in (0, 1) for p in ("a", "b")]
    correlation = torch.corrcoef(torch.stack(draws)) - torch.eye(4)
    assert float(correlation.abs().max()) < 5 / math.sqrt(4000)
