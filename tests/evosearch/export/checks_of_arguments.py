"""Checks: what the constructor takes and refuses, and groups of parameters."""

from __future__ import annotations

import warnings

import torch
from optimizer_subject import Problem, Subject, refused, values
from torch._subclasses import FakeTensorMode
from torch.nn import Parameter
from torch.testing import assert_close

__all__ = [
    "bad_hyperparameters_are_refused",
    "bad_overrides_are_refused",
    "bare_parameter_is_refused",
    "construction_needs_no_values",
    "duplicates_between_groups_are_refused",
    "duplicates_in_a_group_warn",
    "groups_can_be_added",
    "groups_have_their_own_lr",
    "groups_have_their_own_weight_decay",
    "groups_rates_are_theirs_alone",
    "lr_of_two_elements_is_refused",
    "lr_of_zero_moves_nothing",
    "lr_that_is_text_is_refused",
    "names_are_kept",
    "partly_named_parameters_are_refused",
    "prints",
    "tensor_lr_is_as_a_number",
]


def bare_parameter_is_refused(subject: Subject) -> None:
    """A parameter is no iterable of parameters."""
    refused(lambda: subject.make(Parameter(torch.ones(2, 2))), TypeError)


def duplicates_in_a_group_warn(subject: Subject) -> None:
    """A parameter twice in one group is probably a mistake."""
    p = Parameter(torch.ones(2, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused(lambda: subject.make([p, p]), UserWarning)


def duplicates_between_groups_are_refused(subject: Subject) -> None:
    """A parameter belongs to one group."""
    p = Parameter(torch.ones(2, 2))
    refused(lambda: subject.make([{"params": [p]}, {"params": [p]}]), ValueError)


def partly_named_parameters_are_refused(subject: Subject) -> None:
    """Either all parameters have names or none."""
    one, other = Parameter(torch.ones(2, 2)), Parameter(torch.ones(2, 2))
    refused(lambda: subject.make([("weight", one), other]), ValueError)


def lr_of_two_elements_is_refused(subject: Subject) -> None:
    """A learning rate is one number."""
    lr = torch.tensor([1e-3, 1e-3])
    refused(lambda: subject.make([Parameter(torch.ones(2, 2))], lr=lr), ValueError)


def bad_hyperparameters_are_refused(subject: Subject) -> None:
    """Values out of their range raise ValueErrors that state the value."""
    for kwargs in [{"lr": -0.25}, *subject.errors]:
        message = ""
        try:
            subject.make([Parameter(torch.ones(2, 2))], **kwargs)
        except ValueError as error:
            message = str(error)
        (value,) = kwargs.values()
        parts = value if isinstance(value, tuple) else (value,)
        assert any(str(x) in message for x in parts), f"{kwargs}: {message or 'accepted'}"


def bad_overrides_are_refused(subject: Subject) -> None:
    """So do values that a group sets for itself."""
    one, other = Parameter(torch.ones(2, 2)), Parameter(torch.ones(2, 2))
    refused(lambda: subject.make([{"params": [one], "lr": -0.25}]), ValueError)
    optimizer = subject.make([one])
    refused(lambda: optimizer.add_param_group({"params": [other], "lr": -0.25}), ValueError)


def prints(subject: Subject) -> None:
    """The text of an optimizer shows its hyperparameters."""
    text = repr(subject.make([Parameter(torch.ones(2, 2))]))
    assert subject.optim_cls.__name__ in text
    assert "lr" in text


def tensor_lr_is_as_a_number(subject: Subject) -> None:
    """A learning rate may be a tensor, whose value may change in place."""
    for shape in ((), (1,)):
        one, other = Problem(subject, torch.float64), Problem(subject, torch.float64)
        lr = torch.full(shape, 1e-2, dtype=torch.float64)
        tensor, number = subject.make(one.params, lr=lr), subject.make(other.params, lr=1e-2)
        for step in range(6):
            if step == 3:
                lr.fill_(2e-3)
                for group, twin in zip(tensor.param_groups, number.param_groups, strict=True):
                    twin["lr"] = float(group["lr"])
            one.train(tensor, 1)
            other.train(number, 1)
        assert_close(one.params, other.params)


def groups_have_their_own_lr(subject: Subject) -> None:
    """A group with hardly any learning rate hardly moves."""
    problem = Problem(subject)
    groups = [{"params": [problem.weight]}, {"params": [problem.bias], "lr": 1e-28}]
    optimizer = subject.make(groups)
    weight, bias = values(problem.params)
    problem.train(optimizer, 5)
    assert (problem.weight != weight).any()
    assert_close(problem.bias.detach(), bias)


def groups_have_their_own_weight_decay(subject: Subject) -> None:
    """Weight decay shrinks the weights of the group that has it, unless they keep their norm."""
    problem = Problem(subject)
    one, other = problem.weight, Parameter(problem.weight.detach().clone())
    groups = [{"params": [one], "weight_decay": 0.9}, {"params": [other], "weight_decay": 0.0}]
    optimizer = subject.make(groups, lr=1e-2)
    for _ in range(5):
        one.grad = other.grad = torch.zeros_like(one)
        optimizer.step()
    assert (one.norm() < 0.99 * other.norm()) == subject.shrinks


def groups_rates_are_theirs_alone(subject: Subject) -> None:
    """A group's rate is what its parameters get, whatever the rate of the others."""
    ends = []
    for general in (1e-2, 3e-2):
        problem = Problem(subject)
        groups = [{"params": [p], "lr": 1e-3} for p in problem.params]
        problem.train(subject.make(groups, lr=general), 1)
        ends.append(values(problem.params))
    assert_close(*ends, rtol=0, atol=0)


def lr_of_zero_moves_nothing(subject: Subject) -> None:
    """A learning rate may be 0, and then nothing moves."""
    problem = Problem(subject)
    groups = [{"params": [p], "lr": 0.0} for p in problem.params]
    before = values(problem.params)
    problem.train(subject.make(groups), 2)
    assert_close(values(problem.params), before, rtol=0, atol=0)


def lr_that_is_text_is_refused(subject: Subject) -> None:
    """A number that a configuration left as text is refused at construction."""
    refused(lambda: subject.make([Parameter(torch.ones(2, 2))], lr="1e-3"), ValueError, TypeError)


def construction_needs_no_values(subject: Subject) -> None:
    """The constructor works where tensors have no values yet (FakeTensorMode)."""
    with FakeTensorMode():
        subject.make([Parameter(torch.ones(2, 2))])
        subject.make([Parameter(torch.ones(2, 2))], lr=torch.tensor(1e-3))


def groups_can_be_added(subject: Subject) -> None:
    """A parameter that joins later is trained from then on."""
    problem = Problem(subject)
    optimizer = subject.make([problem.weight])
    problem.train(optimizer, 2)
    bias = problem.bias.detach().clone()
    optimizer.add_param_group({"params": [problem.bias]})
    assert len(optimizer.param_groups) == 2
    problem.train(optimizer, 2)
    assert (problem.bias != bias).any()


def names_are_kept(subject: Subject) -> None:
    """Named parameters leave their names in the groups and in the state dict."""
    problem = Problem(subject)
    optimizer = subject.make([("weight", problem.weight), ("bias", problem.bias)])
    problem.train(optimizer, 1)
    names = [n for group in optimizer.state_dict()["param_groups"] for n in group["param_names"]]
    assert sorted(names) == ["bias", "weight"]
