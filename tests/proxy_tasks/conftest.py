"""Small user data, and every registered task in a size that tests can afford."""

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from proxy_tasks import registry
from proxy_tasks.task import Task

SMALLER: dict[str, dict[str, Any]] = {
    "char_lm": {"windows": 8},
    "char_lm_wide": {"windows": 8, "batch": 4},
    "char_lm_2layer": {"windows": 4, "batch": 2},
    "char_lm_scale": {"windows": 2, "batch": 2, "megabytes": 2.0},
    "cifar10": {"batch": 8, "channels": (8, 12, 16), "test_images": 12},
    "token_lm": {"windows": 8, "batch": 4},
    "token_files": {"batch": 4, "context": 16, "width": 32, "vocabulary": 64, "windows": 6},
    "teacher_student_deep": {"steps": 100},
    "two_sided_least_squares": {"steps": 100},
    "varying_batch_wild": {"steps": 100},
    "varying_batch_large": {"steps": 100},
    "zipf_bigram_large": {"steps": 60},
}
"""What is changed for the tests; what is not named here runs as registered."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def cifar_rows() -> tuple[np.ndarray, np.ndarray]:
    """Labels and pixels of 24 images whose brightness tells their class."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, 24, dtype=np.uint8)
    noise = random.integers(0, 30, (24, 3072))
    return labels, (labels[:, None] * 20 + noise).astype(np.uint8)


@pytest.fixture(scope="session")
def cifar_folder(tmp_path_factory: pytest.TempPathFactory, cifar_rows: Any) -> Path:
    """CIFAR-10's binary form."""
    root = tmp_path_factory.mktemp("cifar-10-batches-bin")
    labels, pixels = cifar_rows
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        np.concatenate([labels[:, None], pixels], axis=1).tofile(root / f"{name}.bin")
    return root


@pytest.fixture(scope="session")
def pickled_cifar_folder(tmp_path_factory: pytest.TempPathFactory, cifar_rows: Any) -> Path:
    """CIFAR-10's pickled form."""
    root = tmp_path_factory.mktemp("cifar-10-batches-py")
    labels, pixels = cifar_rows
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        content = {b"batch_label": name, b"labels": labels.tolist(), b"data": pixels}
        (root / name).write_bytes(pickle.dumps(content, protocol=2))
    return root


@pytest.fixture(scope="session")
def token_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """nanoGPT's token files: a text that repeats itself with a few errors."""
    root = tmp_path_factory.mktemp("tokens")
    random = np.random.default_rng(0)
    for name, size in (("train.bin", 4000), ("val.bin", 400)):
        tokens = np.arange(size) % 13 + 7
        tokens[random.random(size) < 0.05] = 63
        tokens.astype("<u2").tofile(root / name)
    return root


@pytest.fixture(scope="session")
def small(cifar_folder: Path, token_folder: Path) -> Callable[..., Task]:
    """Return a registered task by name, smaller, with further overrides."""
    paths = {"cifar10": {"path": str(cifar_folder)}, "token_files": {"path": str(token_folder)}}

    def build(name: str, **overrides: Any) -> Task:
        return registry.get(name, **SMALLER.get(name, {}) | paths.get(name, {}) | overrides)

    return build
