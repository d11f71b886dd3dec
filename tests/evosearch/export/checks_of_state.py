"""Checks: saving, copying, closures and hooks."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import torch
from optimizer_subject import Problem, Subject, refused
from torch import Tensor
from torch.optim import Optimizer
from torch.testing import assert_close

__all__ = [
    "checkpoints_of_others_are_refused",
    "closure_is_called_once",
    "copies_are_whole",
    "names_may_come_and_go",
    "number_of_steps_may_be_a_number",
    "older_state_dict_loads",
    "pickles_are_whole",
    "runs_are_repeatable",
    "state_dict_hooks_run",
    "state_dict_restores",
    "state_is_not_empty",
    "states_load_in_the_parameters_dtype",
    "step_hooks_run_in_order",
    "step_without_closure_returns_nothing",
    "weights_only_load_restores",
]


def state_is_not_empty(subject: Subject) -> None:
    """After a step there is a state, even of a rule without memory."""
    problem = Problem(subject)
    optimizer = subject.make(problem.params)
    problem.train(optimizer, 1)
    assert all(optimizer.state[p] for p in problem.params)


def _follows(subject: Subject, named: bool, through: Callable[[Any], Any]) -> None:
    """Check that an optimizer loaded half-way goes on exactly as the one that was saved."""
    problem = Problem(subject)

    def make(of: Problem) -> Optimizer:
        return subject.make(
            list(zip(("weight", "bias"), of.params, strict=True)) if named else of.params
        )

    optimizer = make(problem)
    problem.train(optimizer, 4)
    twin = copy.deepcopy(problem)
    other = make(twin)
    other.load_state_dict(through(optimizer.state_dict()))
    for _ in range(4):
        problem.train(optimizer, 1)
        twin.train(other, 1)
        assert_close(twin.params, problem.params, rtol=0, atol=0)
    assert _same(other.state_dict(), optimizer.state_dict())


def _same(one: Any, other: Any) -> bool:
    """Whether two state dicts are equal to the last bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return torch.equal(one, other) if torch.is_tensor(one) else one == other


def state_dict_restores(subject: Subject) -> None:
    """A state dict holds everything."""
    _follows(subject, False, copy.deepcopy)
    _follows(subject, True, copy.deepcopy)


def weights_only_load_restores(subject: Subject) -> None:
    """A state dict is plain data: torch.load needs to trust nobody."""

    def through(state: Any) -> Any:
        file = io.BytesIO()
        torch.save(state, file)
        file.seek(0)
        return torch.load(file, weights_only=True)

    _follows(subject, False, through)


def older_state_dict_loads(subject: Subject) -> None:
    """A checkpoint from before an option existed gets its default."""

    def older(state: Any) -> Any:
        state = copy.deepcopy(state)
        for group in state["param_groups"]:
            for flag in (*subject.not_og_supported_flags, "differentiable", "fused"):
                group.pop(flag, None)
        return state

    _follows(subject, False, older)


def number_of_steps_may_be_a_number(subject: Subject) -> None:
    """Old checkpoints have the step as a Python number."""

    def older(state: Any) -> Any:
        state = copy.deepcopy(state)
        for values in state["state"].values():
            if "step" in values:
                values["step"] = float(values["step"])
        return state

    _follows(subject, False, older)


def names_may_come_and_go(subject: Subject) -> None:
    """State dicts load between named and unnamed parameters."""
    one, other = Problem(subject), Problem(subject)
    named = subject.make([("weight", one.weight), ("bias", one.bias)])
    plain = subject.make(other.params)
    one.train(named, 2)
    other.train(plain, 2)
    state = copy.deepcopy(named.state_dict())
    named.load_state_dict(plain.state_dict())
    plain.load_state_dict(state)
    one.train(named, 1)
    other.train(plain, 1)
    assert_close(one.params, other.params, rtol=0, atol=0)


def states_load_in_the_parameters_dtype(subject: Subject) -> None:
    """A checkpoint of another precision is converted."""
    problem = Problem(subject, torch.float64)
    optimizer = subject.make(problem.params)
    problem.train(optimizer, 2)
    single = Problem(subject, torch.float32)
    other = subject.make(single.params)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for p in single.params:
        states = [v for k, v in other.state[p].items() if torch.is_tensor(v) and k != "step"]
        assert all(v.dtype == torch.float32 for v in states)
    single.train(other, 2)


def copies_are_whole(subject: Subject) -> None:
    """deepcopy keeps every attribute, and the copy trains on as the original does."""
    problem = Problem(subject)
    optimizer = subject.make(problem.params)
    problem.train(optimizer, 2)
    twin, other = copy.deepcopy((problem, optimizer))
    public = {name for name in vars(optimizer) if not name.startswith("_")}
    assert public <= set(vars(other))
    problem.train(optimizer, 2)
    twin.train(other, 2)
    assert_close(twin.params, problem.params, rtol=0, atol=0)


def pickles_are_whole(subject: Subject) -> None:
    """So does an optimizer that went through pickle together with its parameters."""
    problem = Problem(subject)
    optimizer = subject.make(problem.params)
    problem.train(optimizer, 2)
    twin, other = pickle.loads(pickle.dumps((problem, optimizer)))
    problem.train(optimizer, 2)
    twin.train(other, 2)
    assert_close(twin.params, problem.params, rtol=0, atol=0)


def runs_are_repeatable(subject: Subject) -> None:
    """The same start gives the same end."""
    ends = []
    for _ in range(2):
        problem = Problem(subject)
        problem.train(subject.make(problem.params), 5)
        ends.append(problem.params)
    assert_close(ends[0], ends[1], rtol=0, atol=0)


def closure_is_called_once(subject: Subject) -> None:
    """step(closure) computes the loss once, with gradients enabled, and returns it."""
    problem = Problem(subject)
    optimizer = subject.make(problem.params)
    losses: list[Tensor] = []

    def closure() -> Tensor:
        assert torch.is_grad_enabled()
        optimizer.zero_grad()
        losses.append(problem.loss())
        losses[-1].backward()
        return losses[-1]

    for step in range(5):
        assert optimizer.step(closure) is losses[-1]
        assert len(losses) == step + 1
    assert losses[-1] < losses[0]


def step_without_closure_returns_nothing(subject: Subject) -> None:
    """Without a closure there is no loss."""
    problem = Problem(subject)
    problem.backward()
    assert subject.make(problem.params).step() is None


def step_hooks_run_in_order(subject: Subject) -> None:
    """Hooks run around the step, global ones outside."""
    from torch.optim.optimizer import (
        register_optimizer_step_post_hook,
        register_optimizer_step_pre_hook,
    )

    problem = Problem(subject)
    optimizer = subject.make(problem.params)
    calls: list[str] = []
    handles = [
        register_optimizer_step_pre_hook(lambda *_: calls.append("global pre")),
        optimizer.register_step_pre_hook(lambda *_: calls.append("pre")),
        optimizer.register_step_post_hook(lambda *_: calls.append("post")),
        register_optimizer_step_post_hook(lambda *_: calls.append("global post")),
    ]
    try:
        problem.train(optimizer, 1)
    finally:
        for handle in handles:
            handle.remove()
    assert calls == ["global pre", "pre", "post", "global post"]


def state_dict_hooks_run(subject: Subject) -> None:
    """Hooks see, and may replace, what is saved and loaded."""
    problem = Problem(subject)
    optimizer = subject.make(problem.params)
    problem.train(optimizer, 1)
    calls: list[str] = []
    optimizer.register_state_dict_pre_hook(lambda _: calls.append("save"))
    optimizer.register_state_dict_post_hook(lambda _, state: {**state, "extra": 1})
    optimizer.register_load_state_dict_pre_hook(
        lambda _, state: {k: v for k, v in state.items() if k != "extra"}
    )
    optimizer.register_load_state_dict_post_hook(lambda _: calls.append("loaded"))
    state = optimizer.state_dict()
    assert state["extra"] == 1
    optimizer.load_state_dict(copy.deepcopy(state))
    assert calls == ["save", "loaded"]


def checkpoints_of_others_are_refused(subject: Subject) -> None:
    """The checkpoint of another optimizer is refused, and not found out at some later step."""
    problem = Problem(subject)
    optimizer = subject.make(problem.params)
    problem.train(optimizer, 1)
    state = copy.deepcopy(optimizer.state_dict())
    for values_of_one in state["state"].values():
        values_of_one.clear()
        values_of_one["something_else"] = torch.ones(())
    refused(lambda: optimizer.load_state_dict(state), ValueError, KeyError)
