"""Whether a step can be recorded once and repeated, as a CUDA graph is; it takes no GPU to know."""
# ruff: noqa: ARG001 - every rule has the same signature

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from small_tasks import ADAM, MATRIX, Closure, Regression, Rules, both
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from evosearch.language.known import KNOWN, known
from evosearch.training.cuda_graphs import recording
from evosearch.training.cuda_streams import STREAMS
from evosearch.training.evaluate import compile_text
from evosearch.training.lanes import Entry, LearningRates, train
from evosearch.training.lr_schedule import DeviceClock, HostClock
from evosearch.training.problem import Problem
from primitives.shape import FULL
from proxy_tasks.kernels.dispatch import by_torch
from proxy_tasks.registry import TASKS, get

TRIALS = (LearningRates(1e-3, 3e-3), LearningRates(1e-2, 1e-2))
SHORT: dict[str, dict[str, int]] = {
    "char_lm": {"batch": 2, "windows": 2},
    "digits_mlp": {"batch": 8},
    "digits_conv": {"batch": 4},
    "digits_vit": {"batch": 4},
    "table_diabetes": {},
    "token_lm": {"batch": 2, "windows": 2},
    "varying_batch": {},
    "least_squares": {},
    "two_sided_least_squares": {"batch": 2},
    "matrix_factorization": {},
    "teacher_student": {},
    "zipf_bigram": {},
}
"""A task of each kind that needs no files, as small as it gets."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Tape(TorchDispatchMode):
    """Records every call of torch with the tensors themselves, and can make them all again.

    Like a CUDA graph it knows addresses and numbers, and nothing of the Python in between.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, dict[str, Any], list[Tensor]]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        assert func is not torch.ops.aten._local_scalar_dense.default, "waits for the device"
        result = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, tensors(result)))
        return result

    def replay(self) -> None:
        for func, args, kwargs, before in self.calls:
            for old, new in zip(before, tensors(func(*args, **kwargs)), strict=True):
                if old.untyped_storage().data_ptr() != new.untyped_storage().data_ptr():
                    old.copy_(new)


def tensors(result: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]


def taped(work: Callable[[], None]) -> Callable[[], None]:
    """Do work once and record it; repeat the record from then on."""
    tapes: list[Tape] = []

    def call() -> None:
        if tapes:
            tapes[0].replay()
        else:
            with Tape() as tape:
                work()
            tapes.append(tape)

    return call


def both_ways(problem: Problem, entries: list[Entry]) -> list[tuple[Tensor, Tensor]]:
    with by_torch():  # as on a GPU; the tape sees no other products
        plain, repeated = train(problem, entries), train(problem, entries, record=taped)
    for value in (*plain, *repeated):
        assert isinstance(value, Tensor), value
    return list(zip(plain, repeated, strict=True))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SHORT)
def test_repeating_the_first_step_trains_every_task(name: str):
    problem = Problem.of(get(name, **SHORT[name], steps=4), (1, 2))
    entries = [Entry(compile_text(str(known(n))), TRIALS) for n in ("adamw", "muon")]
    for plain, repeated in both_ways(problem, entries):
        torch.testing.assert_close(repeated, plain, rtol=1e-3, atol=1e-6)


def test_repeating_the_first_step_trains_with_every_known_optimizer():
    problem = Problem.of(Regression(), (1, 2), torch.float64)
    entries = [Entry(compile_text(str(known(name))), TRIALS) for name in KNOWN]
    for plain, repeated in both_ways(problem, entries):
        torch.testing.assert_close(repeated, plain, rtol=1e-9, atol=0)


def test_states_come_back_to_their_memory():
    def exchanged(w, g, t, a, b):
        return a - b, b + g, a

    def inputs(w, g, t, last, weights):
        return last + 0.1 * (w - weights), g, w

    def counted(w, g, t, total):
        return g / (1 + total), total.add_(t)

    rules = [both(Closure(f, (FULL, FULL))) for f in (exchanged, inputs)]
    rules += [both(Closure(counted, (FULL,))), Rules(MATRIX, ADAM)]
    problem = Problem.of(Regression(), (1,), torch.float64)
    for plain, repeated in both_ways(problem, [Entry(r, TRIALS) for r in rules]):
        torch.testing.assert_close(repeated, plain, rtol=1e-9, atol=0)


def test_the_tape_shows_what_a_graph_would_miss():
    steps = []

    def forgetful(w, g, t):
        steps.append(0)
        return (g * len(steps),)  # a number on the host

    ((plain, repeated),) = both_ways(
        Problem.of(Regression(), (1,)), [Entry(both(Closure(forgetful)), TRIALS)]
    )
    assert not torch.allclose(plain, repeated)


@pytest.mark.parametrize("name", SHORT)
def test_everything_is_made_where_the_lanes_are(name: str):
    """On the meta device a tensor from elsewhere, or a look at a value, is an error."""
    entries = [Entry(compile_text(str(known(n))), TRIALS) for n in KNOWN]
    problem = Problem.of(get(name, **SHORT[name], steps=2), (1, 2), device="meta")
    for values in train(problem, entries, record=lambda work: work):
        assert isinstance(values, Tensor), values
        assert values.device.type == "meta"
        assert values.shape == (len(TRIALS), 2)


def test_every_kind_of_task_is_tried():
    families = {TASKS[name].task.family for name in SHORT}
    needs_files = {"cifar10", "token_files"}
    every = {spec.task.family for spec in TASKS.values()} - needs_files
    assert families == every, "a kind of task is missing in SHORT, or no longer there"


def test_both_clocks_tell_the_same_time():
    data = torch.arange(12.0).view(4, 3)
    host, device = HostClock(4), DeviceClock(4, torch.device("cpu"))
    for step in range(4):
        host.tick()
        device.tick()
        assert float(host.t) == float(device.t) == step + 1
        assert float(host.decay) == float(device.decay) == 1 - step / 4
        assert torch.equal(host.at(data), data[step])
        assert torch.equal(device.at(data), data[step])


def test_a_cpu_records_nothing():
    with recording(torch.device("cpu")) as record:
        assert record is None


on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.gpu
@on_a_gpu
@pytest.mark.parametrize("name", SHORT)
def test_graphs_train_as_calls_do_and_as_a_cpu_does(name: str):
    task = get(name, **SHORT[name], steps=6)
    entries = [Entry(compile_text(str(known(n))), TRIALS) for n in KNOWN]
    there, here = (Problem.of(task, (1, 2), device=device) for device in ("cuda", "cpu"))
    graphs, calls = train(there, entries), train(there, entries, record=lambda work: work)
    for graph, call, host in zip(graphs, calls, train(here, entries), strict=True):
        assert isinstance(graph, Tensor), graph
        torch.testing.assert_close(graph, call, rtol=1e-5, atol=1e-8)
        torch.testing.assert_close(graph.cpu(), host, rtol=1e-2, atol=1e-5)


@pytest.mark.gpu
@on_a_gpu
def test_what_no_graph_can_hold_runs_without_one():
    def looks(w, g, t):
        return (g if float(g.sum()) != 1e30 else w,)  # waits for the device

    problem = Problem.of(Regression(), (1,), device="cuda")
    entries = [Entry(both(Closure(looks)), TRIALS), Entry(both(ADAM), TRIALS)]
    found, beside = train(problem, entries)
    calls = train(problem, entries, record=lambda work: work)
    for value, expected in zip((found, beside), calls, strict=True):
        assert isinstance(value, Tensor), value
        torch.testing.assert_close(value, expected)


@pytest.mark.gpu
@on_a_gpu
def test_candidates_side_by_side_are_those_in_turns_and_one_that_fails_fails_alone():
    def broken(w, g, t):
        raise ValueError("no update")

    problem = Problem.of(Regression(), (1,), device="cuda")
    rules = [compile_text(str(known(KNOWN[i % len(KNOWN)]))) for i in range(2 * STREAMS + 1)]
    rules[STREAMS] = both(Closure(broken))
    entries = [Entry(r, TRIALS) for r in rules]
    found, expected = train(problem, entries), train(problem, entries, record=lambda work: work)
    for index, (value, other) in enumerate(zip(found, expected, strict=True)):
        if index == STREAMS:
            assert isinstance(value, ValueError)
            continue
        assert isinstance(value, Tensor), value
        torch.testing.assert_close(value, other)


@pytest.mark.gpu
@on_a_gpu
@pytest.mark.parametrize("lacking", [0, 1, 2])
def test_a_recording_that_lacked_memory_is_tried_again(lacking: int):
    total, calls = torch.zeros((), device="cuda"), []

    def add():
        calls.append(0)
        if 3 <= len(calls) < 3 + lacking:
            raise torch.OutOfMemoryError("no room")
        total.add_(1)

    with recording(torch.device("cuda")) as record:
        assert record is not None
        step = record(add)
        for _ in range(6):
            step()
    assert float(total) == 6
    # two before the recording, which takes one more or two; done as it is, all others too
    assert len(calls) == {0: 3, 1: 4, 2: 8}[lacking]


@pytest.mark.gpu
@on_a_gpu
def test_work_is_recorded_after_other_work_that_could_not_be():
    total, calls = torch.zeros((), device="cuda"), []

    def look():
        total.add_(1)
        assert float(total) > 0  # waits for the device

    def add():
        calls.append(0)
        total.add_(torch.ones_like(total))

    with recording(torch.device("cuda")) as record:
        assert record is not None
        steps = [record(look), record(add)]
        for _ in range(6):
            for step in steps:
                step()
    assert float(total) == 12
    assert len(calls) == 3
