"""What every registered task promises, against the same model trained alone with torch.nn."""

import math
import pickle
import sys
from collections.abc import Callable, Mapping

import pytest
import torch
from plain_models import load, parameter, plain_model
from torch import Tensor

from proxy_tasks.registry import TASKS
from proxy_tasks.task import Batch, Role, Task

Small = Callable[..., Task]
every_task = pytest.mark.parametrize("name", list(TASKS))


class Pack:
    """Lanes of one task, each with its own seed, in one flat buffer as the trainer keeps them."""

    def __init__(self, task: Task, seeds: list[int], dtype: torch.dtype = torch.float64) -> None:
        self.task, self.lanes = task, len(seeds)
        size = sum(p.numel for p in task.parameters)
        self.flat = torch.empty(self.lanes, size + 3, dtype=dtype)  # rows do not lie side by side
        self.grad = torch.zeros_like(self.flat)
        self.weights, self.gradients = self._views(self.flat), self._views(self.grad)
        for lane, seed in enumerate(seeds):
            for name, value in task.initialize(seed).items():
                self.weights[name][lane] = value
        self.data = self._stack([task.draw(seed) for seed in seeds])
        self.exam = self._stack([task.validation(seed) for seed in seeds])

    def _views(self, flat: Tensor) -> dict[str, Tensor]:
        views, start = {}, 0
        for p in self.task.parameters:
            views[p.name] = flat[:, start : start + p.numel].view(self.lanes, *p.shape)
            start += p.numel
        return views

    @staticmethod
    def _stack(draws: list[Batch]) -> Batch:
        return tuple(torch.stack(parts) for parts in zip(*draws, strict=True))

    def batch(self, step: int) -> Batch:
        return tuple(part[:, step] for part in self.data)

    def gradient(self, step: int) -> Tensor:
        with torch.no_grad():
            self.task.gradient(self.weights, self.batch(step), self.gradients)
        return self.grad

    def evaluate(self) -> Tensor:
        with torch.no_grad():
            return self.task.evaluate(self.weights, self.exam)


def cast(batch: Batch, dtype: torch.dtype) -> Batch:
    return tuple(part.to(dtype) if part.is_floating_point() else part for part in batch)


OPTIMIZERS: Mapping[str, Callable[[list[Tensor]], torch.optim.Optimizer]] = {
    "SGD": lambda ps: torch.optim.SGD(ps, lr=0.02, momentum=0.9, nesterov=True),
    "AdamW": lambda ps: torch.optim.AdamW(ps, lr=0.01, weight_decay=0.1),
}


@every_task
@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_a_lane_is_the_model_trained_alone(name: str, optimizer: str, small: Small) -> None:
    task = small(name, steps=4)
    seeds = [3, 8]
    pack = Pack(task, seeds)
    together = OPTIMIZERS[optimizer]([pack.flat])
    alone = []
    for seed in seeds:
        initial = {k: v.double() for k, v in task.initialize(seed).items()}
        model = load(plain_model(task), initial)
        alone.append((model, OPTIMIZERS[optimizer](list(model.parameters()))))

    for step in range(task.steps):
        pack.flat.grad = pack.gradient(step)
        losses = task.loss(pack.weights, pack.batch(step))
        together.step()
        for lane, (model, stepper) in enumerate(alone):
            loss = model(*(part[lane] for part in cast(pack.batch(step), torch.float64)))
            torch.testing.assert_close(losses[lane], loss.detach(), rtol=1e-9, atol=1e-12)
            stepper.zero_grad()
            loss.backward()
            stepper.step()

    for p in task.parameters:
        for lane, (model, _) in enumerate(alone):
            expected = parameter(model, p.name).detach()
            torch.testing.assert_close(
                pack.weights[p.name][lane], expected, rtol=1e-8, atol=1e-10, msg=f"{name} {p.name}"
            )


@every_task
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_the_written_gradient_is_autograds(
    name: str, dtype: torch.dtype, tolerance: float, small: Small
) -> None:
    task = small(name, steps=2)
    pack = Pack(task, [0, 1, 2], dtype)
    pack.gradient(1)
    expected = {k: torch.empty_like(v) for k, v in pack.gradients.items()}
    Task.gradient(task, pack.weights, pack.batch(1), expected)
    for p in task.parameters:
        size = float(expected[p.name].abs().max())
        torch.testing.assert_close(
            pack.gradients[p.name], expected[p.name], rtol=0, atol=tolerance * size, msg=p.name
        )


@every_task
def test_what_a_gradient_keeps_is_good_for_autograd(name: str, small: Small) -> None:
    task = small(name, steps=1)
    if type(task).gradient is Task.gradient:
        pytest.skip("autograd's own, which is not called in inference mode")
    pack = Pack(task, [0], torch.float32)
    for module in [m for n, m in sys.modules.items() if n.startswith("proxy_tasks.")]:
        for cached in [v for v in vars(module).values() if hasattr(v, "cache_clear")]:
            cached.cache_clear()
    with torch.inference_mode():
        task.gradient(pack.weights, pack.batch(0), pack.gradients)
    expected = {k: torch.empty_like(v) for k, v in pack.gradients.items()}
    Task.gradient(task, pack.weights, pack.batch(0), expected)
    assert all(bool(v.isfinite().all()) for v in expected.values())


@every_task
def test_a_lane_does_not_depend_on_its_pack(name: str, small: Small) -> None:
    task = small(name, steps=2)

    def outcome(seeds: list[int], lane: int) -> list[Tensor]:
        pack = Pack(task, seeds, torch.float32)
        return [pack.gradient(1)[lane], pack.evaluate()[lane]]

    reference = outcome([5], 0)
    for seeds, lane in (([5, 6], 0), ([1, 2, 5], 2), ([*range(4), 5, *range(6, 19)], 4)):
        for got, expected in zip(outcome(seeds, lane), reference, strict=True):
            assert torch.equal(got, expected), f"lane {lane} of {len(seeds)}"


@every_task
def test_a_seed_reproduces_and_another_differs(name: str, small: Small) -> None:
    task = small(name, steps=3)

    def everything(seed: int) -> list[Tensor]:
        return [*task.initialize(seed).values(), *task.draw(seed)]

    assert all(map(torch.equal, everything(7), everything(7)))
    assert not all(map(torch.equal, task.initialize(7).values(), task.initialize(8).values()))
    assert not all(map(torch.equal, task.draw(7), task.draw(8)))
    assert all(map(torch.equal, task.validation(7), task.validation(7)))


@every_task
def test_shapes(name: str, small: Small) -> None:
    task = small(name, steps=3)
    initial = task.initialize(0)
    assert {k: tuple(v.shape) for k, v in initial.items()} == {
        p.name: p.shape for p in task.parameters
    }
    assert all(v.dtype is torch.float32 for v in initial.values())
    assert all(len(part) == task.steps for part in task.draw(0))
    pack = Pack(task, [0, 1])
    assert task.loss(pack.weights, pack.batch(0)).shape == (2,)
    assert pack.evaluate().shape == (2,)
    assert math.isfinite(task.flops)
    assert task.flops > 0


@every_task
def test_the_metric_falls_under_adamw_and_not_below_the_floor(name: str, small: Small) -> None:
    small_enough = TASKS[name].task.flops < 2e7
    task = small(name) if small_enough else small(name, steps=20)
    pack = Pack(task, [0, 0], torch.float32)
    before = pack.evaluate()
    rates = torch.tensor([3e-3, 3e-2])[:, None]
    optimizer = torch.optim.AdamW([pack.flat], lr=1.0, weight_decay=0.0)
    for step in range(task.steps):
        pack.flat.grad = pack.gradient(step)
        old = pack.flat.clone()
        optimizer.step()
        pack.flat.copy_(old + (pack.flat - old) * rates * (1 - step / task.steps))
    after = pack.evaluate()
    assert bool((after > task.floor).all())
    assert bool((before > task.floor).all())
    share = (after.min() - task.floor) / (before[0] - task.floor)
    assert share < (0.5 if small_enough else 0.97)


@every_task
def test_roles(name: str) -> None:
    parameters = TASKS[name].task.parameters
    assert len({p.name for p in parameters}) == len(parameters)
    assert any(p.role is Role.HIDDEN for p in parameters)
    for p in parameters:
        assert (len(p.shape) < 2) == (p.role is Role.VECTOR), p


@every_task
def test_a_task_travels_and_is_a_key(name: str, small: Small) -> None:
    task = small(name)
    again = pickle.loads(pickle.dumps(task))
    assert again == task
    assert hash(again) == hash(task)
