"""Checks: the direction of steps, and optimizers in company."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from optimizer_subject import Problem, Subject
from torch.nn import Parameter
from torch.optim import Optimizer, lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.testing import assert_close

__all__ = [
    "averaged_models_follow",
    "capturable_is_the_same",
    "curved_valley_is_descended",
    "foreach_is_the_loop",
    "foreach_takes_mixed_dtypes",
    "half_precision_trains",
    "loss_falls",
    "loss_falls_for_views",
    "loss_falls_under_schedules",
    "maximize_negates_gradients",
    "scaler_skips_infinite_gradients",
    "zero_grad_clears",
]


def loss_falls(subject: Subject) -> None:
    """Twenty steps make the loss smaller; with maximize, larger."""
    for kwargs in subject.kinds():
        problem = Problem(subject)
        optimizer = subject.optim_cls(problem.params, **kwargs)
        before = problem.loss().item()
        problem.train(optimizer, 20)
        after = problem.loss().item()
        assert (after > before) if kwargs.get("maximize") else (after < before), (
            kwargs,
            before,
            after,
        )


def loss_falls_under_schedules(subject: Subject) -> None:
    """Schedulers of all kinds drive the learning rate."""
    schedulers: list[Callable[[Optimizer], Any]] = [
        lambda o: lr_scheduler.StepLR(o, step_size=10, gamma=0.9),
        lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=20),
        lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + t)),
        lambda o: lr_scheduler.OneCycleLR(
            o, max_lr=o.param_groups[0]["lr"], total_steps=21, cycle_momentum=False
        ),
        lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=2),
        lambda o: lr_scheduler.SequentialLR(
            o,
            [lr_scheduler.LinearLR(o, 0.1, total_iters=4), lr_scheduler.ExponentialLR(o, 0.9)],
            [4],
        ),
    ]
    for make in schedulers:
        problem = Problem(subject)
        optimizer = subject.make(problem.params)
        scheduler = make(optimizer)
        before = problem.loss().item()
        for _ in range(20):
            loss = problem.backward()
            optimizer.step()
            plateau = isinstance(scheduler, lr_scheduler.ReduceLROnPlateau)
            scheduler.step(*([loss.item()] if plateau else []))
        assert problem.loss().item() < before, type(scheduler).__name__


def loss_falls_for_views(subject: Subject) -> None:
    """Parameters and gradients need not be contiguous, and the result is the same."""
    plain, strided = Problem(subject), Problem(subject)
    for name in ("weight", "bias"):
        wide = getattr(plain, name).detach().unsqueeze(-1).repeat_interleave(2, -1)
        setattr(strided, name, Parameter(wide[..., 0]))
    assert not strided.weight.is_contiguous()
    for problem in (plain, strided):
        problem.train(subject.make(problem.params), 10)
    assert_close(strided.params, plain.params)


def curved_valley_is_descended(subject: Subject) -> None:
    """Rosenbrock's function, far from its minimum: a hundred small steps go down."""
    x = Parameter(torch.tensor([[1.5, 1.5]], dtype=torch.float64))
    optimizer = subject.make([x])
    values = []
    for _ in range(100):
        a, b = x[0, 0], x[0, 1]
        loss = (1 - a) ** 2 + 100 * (b - a**2) ** 2
        values.append(loss.item())
        (gradient,) = torch.autograd.grad(loss, x)
        x.grad = gradient / 100  # a slope that a plain gradient step can take
        optimizer.step()
    assert min(values) < values[0]


def maximize_negates_gradients(subject: Subject) -> None:
    """To maximize is to minimize with the gradient's sign turned."""
    one, other = Problem(subject), Problem(subject)
    up, down = subject.make(one.params, maximize=True), subject.make(other.params)
    for _ in range(5):
        one.backward()
        other.backward()
        for p, q in zip(one.params, other.params, strict=True):
            q.grad = -p.grad
        up.step()
        down.step()
    assert_close(one.params, other.params, rtol=0, atol=0)


def half_precision_trains(subject: Subject) -> None:
    """Parameters in bfloat16 train, with states of a floating dtype, and stay bfloat16."""
    problem = Problem(subject, torch.bfloat16)
    optimizer = subject.make(problem.params)
    before = problem.loss().item()
    problem.train(optimizer, 20)
    assert problem.loss().item() < before
    for p in problem.params:
        assert p.dtype == torch.bfloat16
        states = [v for k, v in optimizer.state[p].items() if torch.is_tensor(v) and k != "step"]
        assert all(v.dtype in (torch.bfloat16, torch.float32) for v in states)


def foreach_is_the_loop(subject: Subject) -> None:
    """The fast path computes what the loop computes, whatever has a gradient when."""
    runs = []
    for foreach in (False, True):
        generator = torch.Generator().manual_seed(0)
        shapes = [(10, 5), (10, 5), (3, 4), (12, 4)]
        shapes += [] if subject.matrices_only else [(10,), (), (4, 2, 3, 3), (0,)]
        params = [
            Parameter(torch.randn(s, generator=generator, dtype=torch.float64)) for s in shapes
        ]
        optimizer = subject.make(params, foreach=foreach)
        for step in range(7):
            for i, p in enumerate(params):
                drawn = torch.randn(p.shape, generator=generator, dtype=torch.float64)
                frozen = (i == 1 and 3 <= step < 5) or step == 2
                p.grad = None if frozen else drawn
            optimizer.step()
        runs.append((params, [optimizer.state[p] for p in params]))
    assert_close(runs[1], runs[0], rtol=1e-12, atol=1e-12)


def foreach_takes_mixed_dtypes(subject: Subject) -> None:
    """Parameters of several dtypes share an optimizer."""
    dtypes = (torch.float64, torch.float32, torch.bfloat16, torch.float32)
    ends = []
    for foreach in (False, True):
        params = [Parameter(torch.linspace(-1, 1, 12).view(3, 4).to(d)) for d in dtypes]
        optimizer = subject.make(params, foreach=foreach)
        for _ in range(3):
            for p in params:
                p.grad = p.detach() + 1
            optimizer.step()
        ends.append(params)
    assert_close(ends[0], ends[1])


def capturable_is_the_same(subject: Subject) -> None:
    """Counters of steps as tensors, for CUDA graphs, lead to the same place."""
    one, other = Problem(subject), Problem(subject)
    one.train(subject.make(one.params, capturable=True), 5)
    other.train(subject.make(other.params), 5)
    assert_close(one.params, other.params)


def scaler_skips_infinite_gradients(subject: Subject) -> None:
    """Mixed precision: a step on gradients that overflowed does not take place."""
    problem, plain = Problem(subject), Problem(subject)
    optimizer, reference = subject.make(problem.params), subject.make(plain.params)
    scaler = torch.amp.GradScaler("cpu", init_scale=16.0)
    for step in range(4):
        optimizer.zero_grad()
        scaler.scale(problem.loss()).backward()
        if step == 1:
            problem.weight.grad[0, 0] = torch.inf
        else:
            plain.train(reference, 1)
        scaler.step(optimizer)
        scaler.update()
    assert_close(problem.params, plain.params)


def averaged_models_follow(subject: Subject) -> None:
    """Averages of weights (SWA, EMA) update from the trained model."""
    for averaging in (None, get_ema_multi_avg_fn(0.5)):
        model = torch.nn.Sequential(torch.nn.Linear(4, 3, bias=not subject.matrices_only))
        torch.nn.init.ones_(model[0].weight)
        x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
        averaged = AveragedModel(model, multi_avg_fn=averaging)
        optimizer = subject.make(model.parameters())
        for _ in range(4):
            optimizer.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
            averaged.update_parameters(model)
        weights = [p.detach() for p in averaged.parameters()]
        assert all(torch.isfinite(w).all() for w in weights)
        assert any((w != p).any() for w, p in zip(weights, model.parameters(), strict=True))


def zero_grad_clears(subject: Subject) -> None:
    """zero_grad sets gradients to None, or to zero where asked to."""
    problem = Problem(subject)
    optimizer = subject.make(problem.params)
    problem.backward()
    optimizer.zero_grad(set_to_none=False)
    assert all((p.grad == 0).all() for p in problem.params)
    optimizer.zero_grad()
    assert all(p.grad is None for p in problem.params)
