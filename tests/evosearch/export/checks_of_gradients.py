"""Checks: what is done with gradients, and with parameters of all shapes."""

from __future__ import annotations

import torch
from optimizer_subject import Problem, Subject, refused, values
from torch.nn import Parameter
from torch.testing import assert_close

__all__ = [
    "complex_is_refused_or_right",
    "convolutions_are_matrices",
    "empty_parameters_are_harmless",
    "gradients_are_not_modified",
    "no_gradient_no_change",
    "sparse_gradients_are_refused",
    "states_are_not_gradients",
    "tied_weights_move_once",
    "vectors_are_trained",
    "zero_gradient_no_change",
]


def no_gradient_no_change(subject: Subject) -> None:
    """Without gradients nothing happens, not even to the gradients."""
    problem = Problem(subject)
    optimizer = subject.make(problem.params, weight_decay=0.1)
    before = values(problem.params)
    optimizer.step()
    assert_close([p.detach() for p in problem.params], before, rtol=0, atol=0)
    assert all(p.grad is None for p in problem.params)


def zero_gradient_no_change(subject: Subject) -> None:
    """Where a gradient was always zero, and without weight decay, nothing moves."""
    problem = Problem(subject)
    optimizer = subject.make(problem.params, weight_decay=0.0)
    before = values(problem.params)
    for _ in range(2):
        for p in problem.params:
            p.grad = torch.zeros_like(p)
        optimizer.step()
    if subject.rests:
        assert_close([p.detach() for p in problem.params], before, rtol=0, atol=0)


def gradients_are_not_modified(subject: Subject) -> None:
    """A step reads gradients; who reads them after it sees what they were."""
    for kwargs in subject.kinds():
        problem = Problem(subject)
        optimizer = subject.optim_cls(problem.params, **kwargs)
        for _ in range(3):
            problem.backward()
            before = [p.grad.clone() for p in problem.params]
            optimizer.step()
            assert_close([p.grad for p in problem.params], before, rtol=0, atol=0)


def states_are_not_gradients(subject: Subject) -> None:
    """No state shares memory with a gradient or a parameter."""
    for dtype in (torch.float32, torch.bfloat16):
        problem = Problem(subject, dtype)
        optimizer = subject.make(problem.params)
        problem.train(optimizer, 1)
        for p in problem.params:
            kept = {p.data_ptr(), p.grad.data_ptr()}
            states = [v for v in optimizer.state[p].values() if torch.is_tensor(v) and v.numel()]
            assert not kept & {v.data_ptr() for v in states}
            assert len({v.data_ptr() for v in states}) == len(states)


def sparse_gradients_are_refused(subject: Subject) -> None:
    """What would need the dense gradient says so, before anything changes."""
    p = Parameter(torch.ones(3, 2))
    p.grad = torch.eye(3)[:, :2].to_sparse()
    optimizer = subject.make([p])
    refused(optimizer.step, RuntimeError, ValueError)
    assert_close(p.detach(), torch.ones(3, 2))


def complex_is_refused_or_right(subject: Subject) -> None:
    """Complex parameters are refused, or treated as pairs of real numbers."""
    values = torch.randn(3, 2, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    one, other = Parameter(values.clone()), Parameter(torch.view_as_real(values).clone())
    try:
        optimizer = subject.make([one])
        one.grad = values.clone()
        optimizer.step()
    except (RuntimeError, ValueError):
        return
    reference = subject.make([other])
    other.grad = torch.view_as_real(values).clone()
    reference.step()
    assert_close(torch.view_as_real(one.detach()), other.detach())


def vectors_are_trained(subject: Subject) -> None:
    """Biases and scalars are parameters too."""
    for shape in ((), (7,)):
        p = Parameter(torch.full(shape, 2.0))
        optimizer = subject.make([p])
        for _ in range(5):
            p.grad = p.detach().clone()
            optimizer.step()
        assert (p < 2.0).all()


def empty_parameters_are_harmless(subject: Subject) -> None:
    """A parameter without entries changes nothing for the others."""
    for empty in ((0, 5), (5, 0)) if subject.matrices_only else ((0,), (0, 5), (5, 0), (3, 0, 2)):
        problem, alone = Problem(subject), Problem(subject)
        p = Parameter(torch.empty(empty))
        optimizer = subject.make([p, *problem.params])
        for _ in range(2):
            problem.backward()
            p.grad = torch.empty(empty)
            optimizer.step()
        alone.train(subject.make(alone.params), 2)
        assert_close(problem.params, alone.params)


def convolutions_are_matrices(subject: Subject) -> None:
    """A convolution's weight moves as the matrix of its output channels does, in scale too."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(12, 6, 2, 2, generator=generator)
    for layout in (torch.contiguous_format, torch.channels_last):
        conv = Parameter(values.clone(memory_format=layout))
        matrix = Parameter(values.flatten(1).clone())
        one, other = subject.make([conv]), subject.make([matrix])
        for _ in range(3):
            matrix.grad = matrix.detach() + 1
            conv.grad = (conv.detach() + 1).clone(memory_format=layout)
            one.step()
            other.step()
        assert_close(conv.detach().flatten(1), matrix.detach())


def tied_weights_move_once(subject: Subject) -> None:
    """A model that uses a weight twice has it once."""
    layer = torch.nn.Linear(4, 4, bias=False)
    torch.nn.init.eye_(layer.weight)
    model = torch.nn.Sequential(layer, torch.nn.Tanh(), layer)
    optimizer = subject.make(model.parameters())
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    before = model(x).square().sum()
    for _ in range(5):
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()
    assert len(optimizer.state) == 1
    assert model(x).square().sum() < before
