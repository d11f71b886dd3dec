"""Reading users' files: what is right is read exactly, what is wrong is named."""

import hashlib
import os
import pickle
import shutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from proxy_tasks import registry
from proxy_tasks.data.cache import TaskDataError
from proxy_tasks.data.corpus import VOCABULARY, corpus, packaged_text
from proxy_tasks.data.tables import CLASSES, ROWS, table
from proxy_tasks.data.tokens import tokens
from proxy_tasks.task import Task
from proxy_tasks.tasks.char_lm import CharLM
from proxy_tasks.tasks.cifar10 import Cifar10, cifar10, read_cifar10
from proxy_tasks.tasks.token_files import TokenFiles, read_tokens

CPU = torch.device("cpu")
Rows = tuple[np.ndarray, np.ndarray]


class Call:
    """Pickled as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


BUILDER, READER = np.empty(0).__reduce__()[0], np.empty(0).__reduce_ex__(5)[0]
ATTACKS = {
    "numbers around the entries of an array of objects": Call(
        np.ndarray, Call(np.ndarray, (1,), "O", b"A" * 8), "u1"
    ),
    "objects around bytes": Call(np.ndarray, (1,), "O", b"A" * 8),
    "strides beyond the buffer": Call(np.ndarray, (5, 3072), "u1", b"a", 0, (1 << 40, 1)),
    "objects, built": Call(BUILDER, np.ndarray, (5, 3072), "O"),
    "objects, read": Call(READER, b"A" * 8, np.dtype("O"), (1,), "C"),
    "an array of objects": np.array([None, 1], dtype=object),
    "an array with fields": np.zeros(5, dtype=[("a", "u1")]),
    "text": np.array(["a"]),
}
"""What becomes of a batch's data in a hostile file."""


class TestCorpus:
    def test_the_packaged_text_never_changes(self) -> None:
        """Every figure of a task on it would change with it: then name the task anew."""
        text = packaged_text()
        assert len(text) == 3_000_000
        digest = "56b2dcd4631380b5b3a0168b9f90599cc33bc86581f1cf855abe52c1bc91514e"
        assert hashlib.sha256(text).hexdigest() == digest

    def test_its_licence_lies_beside_it(self) -> None:
        licence = files("proxy_tasks.data").joinpath("python_stdlib.LICENSE.txt")
        assert "PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2" in licence.read_text()

    def test_the_packaged_text_is_python(self) -> None:
        symbols, boundary = corpus("", 2.0, CPU)
        assert len(symbols) == 2_000_000
        assert boundary == 1_800_000
        assert int(symbols.max()) == VOCABULARY - 1
        text = "".join(chr(32 + s) if s < 95 else "\n" for s in symbols[:400_000].tolist())
        assert text.count("def ") > 500

    def test_a_users_text_is_read_and_split(self, tmp_path: Path) -> None:
        file = tmp_path / "text.txt"
        file.write_bytes(b"a b\n~\t\xff" * 20_000)
        symbols, boundary = corpus(str(file), 1.0, CPU)
        assert symbols[:7].tolist() == [65, 0, 66, 95, 94, 0, 0]
        assert (len(symbols), boundary) == (140_000, 126_000)

    def test_training_never_sees_the_validation_text(self, tmp_path: Path) -> None:
        file = tmp_path / "text.txt"
        file.write_bytes(b"0" * 90_000 + b"1" * 10_000)
        task = CharLM(path=str(file), steps=4000)
        zero, one = 16, 17
        assert set(task._windows(tuple(task.draw(0))).unique().tolist()) == {zero}
        assert set(task._windows(task.validation(0)).unique().tolist()) == {one}

    def test_errors(self, tmp_path: Path) -> None:
        with pytest.raises(TaskDataError, match=r"found none; correct the task's `path`"):
            CharLM(path=str(tmp_path / "absent")).draw(0)
        file = tmp_path / "short.txt"
        file.write_text("short")
        with pytest.raises(TaskDataError, match=r"at least 100,000 bytes.*found 5"):
            CharLM(path=str(file)).draw(0)


class TestPackagedTokens:
    def test_they_spell_the_text(self) -> None:
        """Characters are the corpus's symbols, and the text is shorter in tokens."""
        characters, _ = corpus("", 3.0, CPU)
        symbols, boundary = tokens(1024, CPU)
        assert int(symbols.max()) == 1023
        assert len(symbols) < 0.6 * len(characters)
        assert boundary == int(len(symbols) * 0.9)
        alone, _ = tokens(VOCABULARY, CPU)
        assert alone.tolist() == characters.tolist()

    def test_a_vocabulary_below_the_alphabet_is_refused(self) -> None:
        with pytest.raises(TaskDataError, match="at least the 96 characters"):
            tokens(95, CPU)


class TestTables:
    @pytest.mark.parametrize("name", CLASSES)
    def test_they_are_standardised_by_what_is_trained_on(self, name: str) -> None:
        x, y, training = table(name, torch.float64, CPU)
        assert x.shape == ROWS[name]
        assert x[:training].mean(0).abs().max() < 1e-12
        assert (len(x) - training) / len(x) == pytest.approx(0.25, abs=0.01)
        if CLASSES[name]:
            assert y.unique().tolist() == list(range(CLASSES[name]))

    def test_another_name_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"breast_cancer.*found 'iris'"):
            registry.get("table_diabetes", data="iris")


class TestCifar10:
    def test_both_forms_hold_the_same_images(
        self, cifar_folder: Path, pickled_cifar_folder: Path, cifar_rows: Rows
    ) -> None:
        labels, pixels = cifar_rows
        for root in (cifar_folder, pickled_cifar_folder):
            images, classes, boundary = cifar10(str(root), CPU)
            assert images.shape == (6 * 24, 3, 32, 32)
            assert boundary == 5 * 24
            assert np.array_equal(images[:24].flatten(1).numpy(), pixels)
            assert np.array_equal(classes[-24:].numpy(), labels)

    def test_python_2s_pickles_are_read(self, tmp_path: Path, cifar_rows: Rows) -> None:
        # The published files name numpy's old module and hold the array's bytes as a plain string.
        labels, pixels = cifar_rows
        file = tmp_path / "data_batch_1"
        file.write_bytes(published_form(labels.tolist(), pixels))
        read_pixels, read_labels = read_cifar10(file)
        assert np.array_equal(read_pixels, pixels)
        assert np.array_equal(read_labels, labels)

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_every_protocol_is_read(self, protocol: int, tmp_path: Path, cifar_rows: Rows) -> None:
        labels, pixels = cifar_rows
        file = tmp_path / "test_batch"
        content = {b"labels": labels.tolist(), b"data": pixels}
        file.write_bytes(pickle.dumps(content, protocol=protocol))
        assert np.array_equal(read_cifar10(file)[0], pixels)

    @pytest.mark.parametrize(
        "function", [os.system, eval, exec, open, getattr, np.load, shutil.rmtree]
    )
    def test_a_pickle_cannot_call_functions(
        self, function: Callable[..., Any], tmp_path: Path
    ) -> None:
        marker = tmp_path / "marker"

        class Attack:
            def __reduce__(self) -> tuple[Any, ...]:
                return function, (f"touch {marker}",)

        file = tmp_path / "data_batch_1"
        file.write_bytes(pickle.dumps({b"data": Attack(), b"labels": [0]}))
        with pytest.raises(TaskDataError, match="is not part of an array"):
            read_cifar10(file)
        assert not marker.exists()

    @pytest.mark.parametrize("protocol", [2, 4, 5])
    @pytest.mark.parametrize("attack", ATTACKS)
    def test_a_pickle_cannot_make_anything_but_numbers(
        self, attack: str, protocol: int, tmp_path: Path
    ) -> None:
        file = tmp_path / "data_batch_1"
        content = {b"data": ATTACKS[attack], b"labels": [0] * 5}
        file.write_bytes(pickle.dumps(content, protocol=protocol))
        message = (
            r"not part of an array|not numbers|not one of numbers|found uint8 data of shape \(0,\)"
        )
        with pytest.raises(TaskDataError, match=message):
            read_cifar10(file)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "EOFError"),
            (b"not a pickle", "found"),
            (pickle.dumps([1, 2]), "TypeError"),
            (pickle.dumps({b"data": np.zeros((2, 5), np.uint8), b"labels": [0, 1]}), r"\(2, 5\)"),
            (pickle.dumps({b"data": np.zeros((1, 3072)), b"labels": [0]}), "float64"),
            (pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [-1]}), "negative"),
            (pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [17]}), "found 17"),
            (pickle.dumps({b"data": np.zeros((1, 3072), np.uint8)}), "KeyError"),
        ],
    )
    def test_a_malformed_pickle_is_named(
        self, content: bytes, message: str, tmp_path: Path
    ) -> None:
        file = tmp_path / "data_batch_1"
        file.write_bytes(content)
        with pytest.raises(TaskDataError, match=message):
            read_cifar10(file)

    def test_a_truncated_binary_file_is_named(self, tmp_path: Path) -> None:
        file = tmp_path / "data_batch_1.bin"
        file.write_bytes(b"\0" * 3000)
        with pytest.raises(TaskDataError, match=r"rows of 3073 bytes.*found 3000"):
            read_cifar10(file)
        file.write_bytes(bytes([11]) + bytes(3072))
        with pytest.raises(TaskDataError, match="found 11"):
            read_cifar10(file)

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(TaskDataError, match=r"data_batch_1.*no file"):
            Cifar10(path=str(tmp_path)).draw(0)


class TestTokens:
    def test_both_forms_hold_the_same_tokens(self, tmp_path: Path) -> None:
        tokens = np.arange(1000, dtype="<u2") * 60
        plain, headed = tmp_path / "plain.bin", tmp_path / "headed.bin"
        tokens.tofile(plain)
        header = np.zeros(256, dtype="<i4")
        header[:3] = 20240520, 1, len(tokens)
        headed.write_bytes(header.tobytes() + tokens.tobytes())
        for file in (plain, headed):
            assert np.array_equal(read_tokens(file, 10**6), tokens)
            assert np.array_equal(read_tokens(file, 7), tokens[:7])

    def test_the_validation_file_is_the_validation_part(self, token_folder: Path) -> None:
        task = TokenFiles(path=str(token_folder), context=16)
        symbols, boundary = task.symbols(CPU)
        assert (len(symbols), boundary) == (4400, 4000)
        assert int(task.draw(0)[0].max()) + 16 < boundary
        starts = task.validation(0)[0]
        assert int(starts.min()) >= boundary
        assert int(starts.max()) + 17 <= len(symbols)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (bytes(3), "odd number of bytes"),
            (bytes(20), "more than 17 tokens.*found 10"),
            (
                np.full(99, 70, "<u2").tobytes(),
                "below 64.*found 70; set `vocabulary` to at least 71",
            ),
            (
                np.array([20240520, 1, 9], "<i4").tobytes() + bytes(1012),
                "9 tokens.*found.*0 tokens",
            ),
            (np.array([20240520, 2, 0], "<i4").tobytes() + bytes(1012), "found version 2"),
        ],
    )
    def test_a_malformed_file_is_named(self, content: bytes, message: str, tmp_path: Path) -> None:
        (tmp_path / "train.bin").write_bytes(content)
        (tmp_path / "val.bin").write_bytes(bytes(200))
        with pytest.raises(TaskDataError, match=message):
            TokenFiles(path=str(tmp_path), context=16, vocabulary=64).draw(0)

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(TaskDataError, match=r"train\.bin.*no file"):
            TokenFiles(path=str(tmp_path)).draw(0)


@pytest.mark.parametrize("name", ["cifar10", "token_files"])
@pytest.mark.parametrize(
    ("path", "message"), [("", "found no path; set"), ("/nowhere/at/all", "found nothing; correct")]
)
def test_a_task_without_its_folder_says_so(name: str, path: str, message: str) -> None:
    task: Task = registry.get(name, path=path)
    assert task.parameters
    with pytest.raises(TaskDataError, match=message):
        task.draw(0)


def published_form(labels: list[int], pixels: np.ndarray) -> bytes:
    """Write a batch as Python 2's cPickle did, opcode by opcode, in protocol 2."""

    def text(value: bytes) -> bytes:
        return b"T" + len(value).to_bytes(4, "little") + value

    def number(value: int) -> bytes:
        return b"J" + value.to_bytes(4, "little", signed=True)

    dtype = b"cnumpy\ndtype\n" + text(b"u1") + number(0) + number(1) + b"\x87R"
    dtype += b"(" + number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
    empty += number(0) + b"\x85" + text(b"b") + b"\x87R"
    shape = number(pixels.shape[0]) + number(pixels.shape[1]) + b"\x86"
    array = empty + b"(" + number(1) + shape + dtype + b"\x89" + text(pixels.tobytes()) + b"tb"
    classes = b"](" + b"".join(map(number, labels)) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + classes + b"u."
