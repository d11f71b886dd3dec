"""CIFAR-10 from a folder of the user's, with a convolutional network.

Both published forms are read: the binary one (``data_batch_1.bin`` ...) and the pickled one
(``data_batch_1`` ...). See https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from proxy_tasks.data.cache import TaskDataError, folder, kept
from proxy_tasks.kernels.chunks import by_lanes, grouped
from proxy_tasks.models.conv import ConvNet, neighbourhoods
from proxy_tasks.task import Batch, Parameter, Task, Weights, generator

__all__ = ["Cifar10", "cifar10", "read_cifar10"]

TRAINING_FILES = tuple(f"data_batch_{i}" for i in range(1, 6))
TEST_FILE = "test_batch"
PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class Cifar10(Task):
    """Classify 32 x 32 colour images. A batch is one tensor: indices (L, N) of images."""

    family: ClassVar[str] = "cifar10"
    summary: ClassVar[str] = "conv net on your CIFAR-10 folder; test cross-entropy"
    metric: ClassVar[str] = "test cross-entropy (nats)"

    steps: int = 500
    batch: int = 128
    """Images a step."""
    channels: tuple[int, ...] = (32, 64, 128, 128)
    """Of each convolution's output; all but the first halve the image."""
    test_images: int = 2000
    """How many test images to measure on."""
    path: str = ""
    """The folder with data_batch_1 and so on, pickled or binary (.bin)."""

    @property
    def model(self) -> ConvNet:
        """The network."""
        return ConvNet((3, *self.channels), 32, 10)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The network's weights and biases."""
        return self.model.parameters

    @property
    def floor(self) -> float:
        """Unknown, hence 0."""
        return 0.0

    @property
    def flops(self) -> float:
        """The network's, without the gradient in the images."""
        return self.model.flops(self.batch)

    @property
    def lane_bytes(self) -> float:
        """Of the weights, their gradients and the activations."""
        return super().lane_bytes + self.model.activation_bytes(self.batch)

    def initialize(self, seed: int) -> dict[str, Tensor]:
        """Return the initial weights of one seed."""
        return self.model.initialize(generator(seed, "cifar10/initialize"))

    def content(self) -> tuple[Tensor, ...]:
        """Return the images and their labels."""
        images, labels, _ = cifar10(self.path, torch.device("cpu"))
        return images, labels

    def draw(self, seed: int) -> Batch:
        """Return indices (steps, batch) of training images, drawn with replacement.

        Raises:
            TaskDataError: The files are missing or malformed.
        """
        _, _, boundary = cifar10(self.path, torch.device("cpu"))
        random = generator(seed, "cifar10/draw")
        return (torch.randint(boundary, (self.steps, self.batch), generator=random),)

    def validation(self, seed: int) -> Batch:  # noqa: ARG002 - the same images for every seed
        """Return the indices of the first test images."""
        _, labels, boundary = cifar10(self.path, torch.device("cpu"))
        return (torch.arange(boundary, min(len(labels), boundary + self.test_images)),)

    def _batch(self, weights: Weights, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return patches (L, N, 1024, 27) and labels (L, N)."""
        (index,) = batch
        images, labels, _ = cifar10(self.path, index.device)
        chosen = images[index.reshape(-1)].to(weights["head.weight"].dtype)
        patches = neighbourhoods((chosen - 120) / 64)  # near the data's mean and deviation
        return patches.view(*index.shape, *patches.shape[1:]), labels[index]

    def loss(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the mean cross-entropy of each lane."""
        return self.model.loss(weights, *self._batch(weights, batch))

    @grouped
    def gradient(self, weights: Weights, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Write each lane's gradient, by the network's own backward pass."""
        self.model.gradient(weights, *self._batch(weights, batch), out)

    def evaluate(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the cross-entropy on the test images, a few hundred at a time."""
        (index,) = batch
        parts = index.split(250, 1)
        sums = [by_lanes(self.loss, weights, (p,), lanes=1) * p.shape[1] for p in parts]
        return torch.stack(sums).sum(0) / index.shape[1]


@kept
def cifar10(path: str, device: torch.device) -> tuple[Tensor, Tensor, int]:
    """Return all images as uint8 (N, 3, 32, 32), labels (N,), and where the test images begin."""
    root = folder(path, "CIFAR-10 (data_batch_1 to data_batch_5 and test_batch, .bin or pickled)")
    binary = (root / f"{TEST_FILE}.bin").is_file()
    parts = [
        read_cifar10(root / (f"{name}.bin" if binary else name))
        for name in (*TRAINING_FILES, TEST_FILE)
    ]
    images = torch.from_numpy(np.concatenate([pixels for pixels, _ in parts]))
    labels = torch.from_numpy(np.concatenate([labels for _, labels in parts])).long()
    boundary = len(labels) - len(parts[-1][1])
    return images.view(-1, 3, 32, 32).to(device), labels.to(device), boundary


def read_cifar10(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels (N, 3072) and labels (N,) of one file, as uint8.

    Raises:
        TaskDataError: The file is missing or is not what its name says.
    """
    if not file.is_file():
        raise TaskDataError(f"expected CIFAR-10 images in {file}, found no file; correct `path`")
    if file.suffix == ".bin":
        content = np.fromfile(file, dtype=np.uint8)
        if content.size == 0 or content.size % (PIXELS + 1):
            raise TaskDataError(
                f"expected rows of {PIXELS + 1} bytes in {file}, found {content.size} bytes; "
                "unpack the archive again"
            )
        rows = content.reshape(-1, PIXELS + 1)
        labels, pixels = rows[:, 0], rows[:, 1:]
    else:
        labels, pixels = _unpickle(file)
    if labels.max() > 9:
        raise TaskDataError(
            f"expected labels 0 to 9 in {file}, found {labels.max()}; is it CIFAR-100?"
        )
    return pixels, labels


def _unpickle(file: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with file.open("rb") as stream:
            content = _ArraysOnly(stream, encoding="bytes").load()
        pixels = np.asarray(content[b"data"])
        labels = np.asarray(content[b"labels"])
    except Exception as error:  # a malformed pickle raises nearly anything
        raise TaskDataError(
            f"expected a pickled CIFAR-10 batch in {file}, found {type(error).__name__}: {error}; "
            "unpack the archive again"
        ) from error
    shape = (len(labels), PIXELS)
    if pixels.dtype != np.uint8 or pixels.shape != shape or labels.dtype.kind not in "iu":
        raise TaskDataError(
            f"expected uint8 data of shape {shape} and integer labels in {file}, "
            f"found {pixels.dtype} data of shape {pixels.shape}; unpack the archive again"
        )
    if not len(labels) or labels.min() < 0:
        raise TaskDataError(f"expected labels 0 to 9 in {file}, found none or negative ones")
    return labels, pixels


class _ArraysOnly(pickle.Unpickler):
    """An unpickler for dictionaries, lists, numbers, strings and numpy arrays of numbers.

    A pickle may name any function to call; this one admits only what rebuilds an array, in forms
    that can hold nothing but numbers: no array of objects, none around somebody's buffer.
    """

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the admitted globals.

        Raises:
            pickle.UnpicklingError: The pickle asks for another.
        """
        package = module.replace("numpy._core", "numpy.core")
        try:
            return _ADMITTED[package, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not part of an array") from None


def _latin1(text: str, encoding: str) -> bytes:
    """Stand in for codecs.encode, by which Python 3 writes bytes in old pickle protocols."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding} is not part of an array")
    return text.encode("latin1")


class _Blank(np.ndarray):
    """What an array's pickle calls to begin with: it has no entries until its state is set."""

    def __new__(cls, *_: object) -> _Blank:
        return super().__new__(cls, (0,), np.uint8)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, order, content = state
        whole: Any = (1, shape, _numbers(kind), bool(order), bytes(content))
        super().__setstate__(whole)


def _reconstruct(*_: object) -> _Blank:
    """Stand in for numpy's function of that name, which would take a type and a buffer's shape."""
    return _Blank()


def _frombuffer(content: Any, kind: Any, shape: Any, order: Any) -> np.ndarray:
    """Stand in for numpy's function of that name, with a copy of its own."""
    return np.frombuffer(bytes(content), _numbers(kind)).reshape(shape, order=order)


class _DataSet:
    """Stands for a dtype while it is read; it becomes one only if it is a number's."""

    def __init__(self, code: Any = "", *_: object) -> None:
        self.code, self.order = code, "|"

    def __setstate__(self, state: Any) -> None:
        order = state[1].decode() if isinstance(state[1], bytes) else state[1]  # Python 2's text
        if order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("a dtype of another form is not part of an array")
        if any(part not in (None, -1, 0) for part in state[2:]):
            raise pickle.UnpicklingError("a dtype with fields is not one of numbers")
        self.order = order


def _numbers(kind: Any) -> np.dtype:
    """Return a dtype of whole or floating numbers.

    Raises:
        pickle.UnpicklingError: It is another.
    """
    code = kind.code if isinstance(kind, _DataSet) else ""
    code = code.decode("ascii") if isinstance(code, bytes) else code
    if not isinstance(code, str) or not re.fullmatch(r"[iuf][1248]", code):
        raise pickle.UnpicklingError(f"arrays of {code!r:.20} are not numbers")
    return np.dtype(kind.order + code)


_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("numpy", "ndarray"): _Blank,
    ("numpy", "dtype"): _DataSet,
    ("_codecs", "encode"): _latin1,
}
