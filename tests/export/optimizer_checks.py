"""What PyTorch asks of an optimizer, as checks over its own `OptimizerInfo`.

The list follows the tests of torch.optim (test/test_optim.py), in our own words, and adds what its
users rely on: gradients left alone, closures, pickling, averaged weights, convolutions. A check
raises where an optimizer falls short; `CHECKS` is all of them. They know nothing of this project,
so that any optimizer can be held against them.
"""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer, lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.testing import assert_close
from torch.testing._internal.common_optimizers import OptimizerInfo, OptimizerInput

torch.backends.__allow_nonbracketed_mutation_flag = True  # the import forbids setting flags

__all__ = ["CHECKS", "Subject"]


class Subject(OptimizerInfo):
    """An optimizer to check, and what of it the checks must know."""

    def __init__(
        self,
        optim_cls: type[Optimizer],
        inputs: list[dict[str, Any]],
        *,
        errors: list[dict[str, Any]] | None = None,
        matrices_only: bool = False,
        rests: bool = True,
        **options: Any,
    ) -> None:
        """Describe an optimizer.

        Args:
            optim_cls: its class.
            inputs: constructor arguments to try; the first is the plain case.
            errors: constructor arguments that must raise ValueError.
            matrices_only: whether it takes matrices alone, so that checks have no vectors.
            rests: whether a parameter whose gradient was always zero stays where it is.
            options: as for `OptimizerInfo`.
        """
        super().__init__(
            optim_cls,
            optim_inputs_func=lambda device, dtype=None: [  # noqa: ARG005
                OptimizerInput(params=None, kwargs=kwargs, desc=str(kwargs)) for kwargs in inputs
            ],
            supported_impls=("foreach",),
            not_og_supported_flags=("foreach", "maximize", "capturable"),
            supports_complex=False,
            **options,
        )
        self.errors = errors or []
        self.matrices_only = matrices_only
        self.rests = rests

    def make(self, params: Any, **extra: Any) -> Optimizer:
        """Return the optimizer with the arguments of the plain case, over these parameters."""
        plain = self.optim_inputs_func("cpu")[0].kwargs
        return self.optim_cls(params, **{**plain, **extra})

    def kinds(self) -> Iterator[dict[str, Any]]:
        """Yield all constructor arguments to try."""
        yield from (entry.kwargs for entry in self.optim_inputs_func("cpu"))


class _Problem:
    """Linear regression on one input, with a weight and a bias."""

    def __init__(self, subject: Subject, dtype: torch.dtype = torch.float32, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

        self.weight = Parameter(draw(10, 5))
        self.bias = Parameter(draw(10, 1) if subject.matrices_only else draw(10))
        self.input = draw(5)

    @property
    def params(self) -> list[Parameter]:
        return [self.weight, self.bias]

    def loss(self) -> Tensor:
        return (self.weight @ self.input + self.bias.flatten()).square().sum()

    def backward(self) -> Tensor:
        for p in self.params:
            p.grad = None
        loss = self.loss()
        loss.backward()
        return loss

    def train(self, optimizer: Optimizer, steps: int) -> None:
        for _ in range(steps):
            self.backward()
            optimizer.step()


def _values(params: list[Parameter]) -> list[Tensor]:
    return [p.detach().clone() for p in params]


def _refused(call: Callable[[], Any], *errors: type[Exception]) -> None:
    try:
        call()
    except errors:
        return
    raise AssertionError(f"expected one of {[e.__name__ for e in errors]}, nothing was raised")


# Construction


def bare_parameter_is_refused(subject: Subject) -> None:
    """A parameter is no iterable of parameters."""
    _refused(lambda: subject.make(Parameter(torch.ones(2, 2))), TypeError)


def duplicates_in_a_group_warn(subject: Subject) -> None:
    """A parameter twice in one group is probably a mistake."""
    p = Parameter(torch.ones(2, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _refused(lambda: subject.make([p, p]), UserWarning)


def duplicates_between_groups_are_refused(subject: Subject) -> None:
    """A parameter belongs to one group."""
    p = Parameter(torch.ones(2, 2))
    _refused(lambda: subject.make([{"params": [p]}, {"params": [p]}]), ValueError)


def partly_named_parameters_are_refused(subject: Subject) -> None:
    """Either all parameters have names or none."""
    one, other = Parameter(torch.ones(2, 2)), Parameter(torch.ones(2, 2))
    _refused(lambda: subject.make([("weight", one), other]), ValueError)


def lr_of_two_elements_is_refused(subject: Subject) -> None:
    """A learning rate is one number."""
    lr = torch.tensor([1e-3, 1e-3])
    _refused(lambda: subject.make([Parameter(torch.ones(2, 2))], lr=lr), ValueError)


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
    _refused(lambda: subject.make([{"params": [one], "lr": -0.25}]), ValueError)
    optimizer = subject.make([one])
    _refused(lambda: optimizer.add_param_group({"params": [other], "lr": -0.25}), ValueError)


def prints(subject: Subject) -> None:
    """The text of an optimizer shows its hyperparameters."""
    text = repr(subject.make([Parameter(torch.ones(2, 2))]))
    assert subject.optim_cls.__name__ in text
    assert "lr" in text


# Direction


def loss_falls(subject: Subject) -> None:
    """Twenty steps make the loss smaller; with maximize, larger."""
    for kwargs in subject.kinds():
        problem = _Problem(subject)
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
        problem = _Problem(subject)
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
    plain, strided = _Problem(subject), _Problem(subject)
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
    one, other = _Problem(subject), _Problem(subject)
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
    problem = _Problem(subject, torch.bfloat16)
    optimizer = subject.make(problem.params)
    before = problem.loss().item()
    problem.train(optimizer, 20)
    assert problem.loss().item() < before
    for p in problem.params:
        assert p.dtype == torch.bfloat16
        states = [v for k, v in optimizer.state[p].items() if torch.is_tensor(v) and k != "step"]
        assert all(v.dtype in (torch.bfloat16, torch.float32) for v in states)


# Learning rates and groups


def tensor_lr_is_as_a_number(subject: Subject) -> None:
    """A learning rate may be a tensor, whose value may change in place."""
    for shape in ((), (1,)):
        one, other = _Problem(subject, torch.float64), _Problem(subject, torch.float64)
        lr = torch.full(shape, 1e-2, dtype=torch.float64)
        tensor, number = subject.make(one.params, lr=lr), subject.make(other.params, lr=1e-2)
        for step in range(6):
            if step == 3:
                lr.fill_(2e-3)
                number.param_groups[0]["lr"] = 2e-3
            one.train(tensor, 1)
            other.train(number, 1)
        assert_close(one.params, other.params)


def groups_have_their_own_lr(subject: Subject) -> None:
    """A group with hardly any learning rate hardly moves."""
    problem = _Problem(subject)
    groups = [{"params": [problem.weight]}, {"params": [problem.bias], "lr": 1e-28}]
    optimizer = subject.make(groups)
    weight, bias = _values(problem.params)
    problem.train(optimizer, 5)
    assert (problem.weight != weight).any()
    assert_close(problem.bias.detach(), bias)


def groups_have_their_own_weight_decay(subject: Subject) -> None:
    """Weight decay shrinks the weights of the group that has it."""
    problem = _Problem(subject)
    one, other = problem.weight, Parameter(problem.weight.detach().clone())
    groups = [{"params": [one], "weight_decay": 0.9}, {"params": [other], "weight_decay": 0.0}]
    optimizer = subject.make(groups, lr=1e-2)
    for _ in range(5):
        one.grad = other.grad = torch.zeros_like(one)
        optimizer.step()
    assert one.norm() < other.norm()


def groups_can_be_added(subject: Subject) -> None:
    """A parameter that joins later is trained from then on."""
    problem = _Problem(subject)
    optimizer = subject.make([problem.weight])
    problem.train(optimizer, 2)
    bias = problem.bias.detach().clone()
    optimizer.add_param_group({"params": [problem.bias]})
    assert len(optimizer.param_groups) == 2
    problem.train(optimizer, 2)
    assert (problem.bias != bias).any()


def names_are_kept(subject: Subject) -> None:
    """Named parameters leave their names in the groups and in the state dict."""
    problem = _Problem(subject)
    optimizer = subject.make([("weight", problem.weight), ("bias", problem.bias)])
    problem.train(optimizer, 1)
    names = [n for group in optimizer.state_dict()["param_groups"] for n in group["param_names"]]
    assert sorted(names) == ["bias", "weight"]


# Gradients


def no_gradient_no_change(subject: Subject) -> None:
    """Without gradients nothing happens, not even to the gradients."""
    problem = _Problem(subject)
    optimizer = subject.make(problem.params, weight_decay=0.1)
    before = _values(problem.params)
    optimizer.step()
    assert_close([p.detach() for p in problem.params], before, rtol=0, atol=0)
    assert all(p.grad is None for p in problem.params)


def zero_gradient_no_change(subject: Subject) -> None:
    """Where a gradient was always zero, and without weight decay, nothing moves."""
    problem = _Problem(subject)
    optimizer = subject.make(problem.params, weight_decay=0.0)
    before = _values(problem.params)
    for _ in range(2):
        for p in problem.params:
            p.grad = torch.zeros_like(p)
        optimizer.step()
    if subject.rests:
        assert_close([p.detach() for p in problem.params], before, rtol=0, atol=0)


def gradients_are_not_modified(subject: Subject) -> None:
    """A step reads gradients; who reads them after it sees what they were."""
    for kwargs in subject.kinds():
        problem = _Problem(subject)
        optimizer = subject.optim_cls(problem.params, **kwargs)
        for _ in range(3):
            problem.backward()
            before = [p.grad.clone() for p in problem.params]
            optimizer.step()
            assert_close([p.grad for p in problem.params], before, rtol=0, atol=0)


def states_are_not_gradients(subject: Subject) -> None:
    """No state shares memory with a gradient or a parameter."""
    for dtype in (torch.float32, torch.bfloat16):
        problem = _Problem(subject, dtype)
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
    _refused(optimizer.step, RuntimeError, ValueError)
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


# Shapes


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
        problem, alone = _Problem(subject), _Problem(subject)
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
    values = torch.randn(12, 3, 2, 2, generator=generator)
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


# Saving and copying


def state_is_not_empty(subject: Subject) -> None:
    """After a step there is a state, even of a rule without memory."""
    problem = _Problem(subject)
    optimizer = subject.make(problem.params)
    problem.train(optimizer, 1)
    assert all(optimizer.state[p] for p in problem.params)


def _follows(subject: Subject, named: bool, through: Callable[[Any], Any]) -> None:
    """Check that an optimizer loaded half-way goes on exactly as the one that was saved."""
    problem = _Problem(subject)

    def make(of: _Problem) -> Optimizer:
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
    one, other = _Problem(subject), _Problem(subject)
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
    problem = _Problem(subject, torch.float64)
    optimizer = subject.make(problem.params)
    problem.train(optimizer, 2)
    single = _Problem(subject, torch.float32)
    other = subject.make(single.params)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for p in single.params:
        states = [v for k, v in other.state[p].items() if torch.is_tensor(v) and k != "step"]
        assert all(v.dtype == torch.float32 for v in states)
    single.train(other, 2)


def copies_are_whole(subject: Subject) -> None:
    """deepcopy keeps every attribute, and the copy trains on as the original does."""
    problem = _Problem(subject)
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
    problem = _Problem(subject)
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
        problem = _Problem(subject)
        problem.train(subject.make(problem.params), 5)
        ends.append(problem.params)
    assert_close(ends[0], ends[1], rtol=0, atol=0)


# Closures and hooks


def closure_is_called_once(subject: Subject) -> None:
    """step(closure) computes the loss once, with gradients enabled, and returns it."""
    problem = _Problem(subject)
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
    problem = _Problem(subject)
    problem.backward()
    assert subject.make(problem.params).step() is None


def step_hooks_run_in_order(subject: Subject) -> None:
    """Hooks run around the step, global ones outside."""
    from torch.optim.optimizer import (
        register_optimizer_step_post_hook,
        register_optimizer_step_pre_hook,
    )

    problem = _Problem(subject)
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
    problem = _Problem(subject)
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


# Company


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
    one, other = _Problem(subject), _Problem(subject)
    one.train(subject.make(one.params, capturable=True), 5)
    other.train(subject.make(other.params), 5)
    assert_close(one.params, other.params)


def scaler_skips_infinite_gradients(subject: Subject) -> None:
    """Mixed precision: a step on gradients that overflowed does not take place."""
    problem, plain = _Problem(subject), _Problem(subject)
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
    problem = _Problem(subject)
    optimizer = subject.make(problem.params)
    problem.backward()
    optimizer.zero_grad(set_to_none=False)
    assert all((p.grad == 0).all() for p in problem.params)
    optimizer.zero_grad()
    assert all(p.grad is None for p in problem.params)


CHECKS: Final[tuple[Callable[[Subject], None], ...]] = (
    bare_parameter_is_refused,
    duplicates_in_a_group_warn,
    duplicates_between_groups_are_refused,
    partly_named_parameters_are_refused,
    lr_of_two_elements_is_refused,
    bad_hyperparameters_are_refused,
    bad_overrides_are_refused,
    prints,
    loss_falls,
    loss_falls_under_schedules,
    loss_falls_for_views,
    curved_valley_is_descended,
    maximize_negates_gradients,
    half_precision_trains,
    tensor_lr_is_as_a_number,
    groups_have_their_own_lr,
    groups_have_their_own_weight_decay,
    groups_can_be_added,
    names_are_kept,
    no_gradient_no_change,
    zero_gradient_no_change,
    gradients_are_not_modified,
    states_are_not_gradients,
    sparse_gradients_are_refused,
    complex_is_refused_or_right,
    vectors_are_trained,
    empty_parameters_are_harmless,
    convolutions_are_matrices,
    tied_weights_move_once,
    state_is_not_empty,
    state_dict_restores,
    weights_only_load_restores,
    older_state_dict_loads,
    number_of_steps_may_be_a_number,
    names_may_come_and_go,
    states_load_in_the_parameters_dtype,
    copies_are_whole,
    pickles_are_whole,
    runs_are_repeatable,
    closure_is_called_once,
    step_without_closure_returns_nothing,
    step_hooks_run_in_order,
    state_dict_hooks_run,
    foreach_is_the_loop,
    foreach_takes_mixed_dtypes,
    capturable_is_the_same,
    scaler_skips_infinite_gradients,
    averaged_models_follow,
    zero_grad_clears,
)
