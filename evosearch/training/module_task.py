"""A model of the user's own, a `torch.nn.Module`, as a task."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from discovered.split import parameter_groups
from evosearch.training.examples import Examples
from evosearch.training.module_lanes import Criterion, ModuleLanes, StepCost, build, trained
from proxy_tasks.data.cache import TaskDataError
from proxy_tasks.kernels.chunks import grouped, groups
from proxy_tasks.task import Batch, Parameter, Role, Task, Weights, generator

__all__ = ["ModuleTask", "task"]

_STEP_BATCH = 64
"""Examples a step where neither the user nor a DataLoader says how many."""


def task(
    make: Callable[[], nn.Module],
    data: Any,
    loss: Criterion,
    *,
    steps: int = 200,
    batch: int | None = None,
    validation: Any = 0.2,
    metric: Criterion | None = None,
    floor: float = 0.0,
    inputs: int = 1,
    heads: tuple[str, ...] | None = None,
    name: str | None = None,
) -> ModuleTask:
    """Return a model and its data as a task, for a file's ``TASKS`` or for a notebook.

    Args:
        make: Returns the model with fresh weights, such as its class; called once a seed.
        data: What it learns from: tensors or arrays (N, ...), the model's input first and the
            targets after it; a Dataset or a DataLoader of such tuples. All of it is read once, and
            minibatches are drawn from it by seed.
        loss: ``(output, *targets)`` to a mean over the minibatch, such as
            ``torch.nn.functional.cross_entropy``.
        steps: Training steps; the learning rate falls linearly to zero over them.
        batch: Examples a step; a DataLoader's own, or 64.
        validation: What the end value is measured on: a share of the data, or data like it.
        metric: What the end value is, if it is not the loss; lower is better.
        floor: What no optimizer can get below; 0 if unknown.
        inputs: How many tensors of an example the model takes.
        heads: Names of the modules that make the outputs, which rules for hidden matrices leave
            alone; by default those that are called so, else the last layer.
        name: What a notebook calls it; a file's ``TASKS`` says so there.

    Raises:
        TaskDataError: The data cannot be read. The model is tried when the task is first used.
        ValueError: A number is out of range.
    """
    size = batch or getattr(data, "batch_size", None) or _STEP_BATCH
    examples = Examples.of(data)
    if isinstance(validation, float | int):
        examples, held = examples.split(validation)
    else:
        held = Examples.of(validation)
    title = name or getattr(make, "__name__", "").strip("<>") or "model"
    return ModuleTask(
        steps=steps,
        batch=size,
        family=title,
        make=make,
        examples=examples,
        held=held,
        criterion=loss,
        judge=metric or loss,
        lowest=floor,
        inputs=inputs,
        heads=heads,
    )


class _Template(NamedTuple):
    """What a model is beyond its weights."""

    parameters: tuple[Parameter, ...]
    lanes: ModuleLanes
    judge: ModuleLanes
    cost: StepCost


@dataclass(frozen=True, kw_only=True)
class ModuleTask(Task):
    """Train a module. A batch is one tensor: indices (L, N) of examples."""

    summary: ClassVar[str] = "a model of your own; validation loss"
    metric: ClassVar[str] = "validation loss"

    steps: int
    batch: int
    """Examples a step."""
    family: str  # pyright: ignore[reportIncompatibleVariableOverride] - each has its own
    make: Callable[[], nn.Module]
    examples: Examples
    held: Examples
    """What the end value is measured on."""
    criterion: Criterion
    judge: Criterion
    lowest: float
    """What no optimizer can get below."""
    inputs: int
    """How many tensors of an example the model takes."""
    heads: tuple[str, ...] | None
    """Names of the modules that make the outputs; None: found by their names."""

    @cached_property
    def _template(self) -> _Template:
        return _template(replace(self, steps=1, family="model"))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters that need a gradient, in the module's order."""
        return self._template.parameters

    @property
    def floor(self) -> float:
        """As the user says."""
        return self.lowest

    @property
    def flops(self) -> float:
        """As torch counts them."""
        return self._template.cost.flops

    @property
    def lane_bytes(self) -> float:
        """Of the weights, their gradients and what autograd keeps."""
        return super().lane_bytes + self._template.cost.saved

    @property
    def inference(self) -> bool:
        """No: autograd differentiates."""
        return False

    def initialize(self, seed: int) -> dict[str, Tensor]:
        """Return a fresh model's weights."""
        model = build(self.make, seed)
        return {name: p.detach().clone() for name, p in trained(model).items()}

    def draw(self, seed: int) -> Batch:
        """Return indices (steps, batch) of examples, drawn with replacement."""
        random = generator(seed, "module/draw")
        shape = (self.steps, self.batch)
        return (torch.randint(len(self.examples), shape, generator=random),)

    def validation(self, seed: int) -> Batch:  # noqa: ARG002 - the same examples for every seed
        """Return the indices of all validation examples."""
        return (torch.arange(len(self.held)),)

    def content(self) -> tuple[Tensor, ...]:
        """Return the bits of all examples."""
        return (*self.examples.content(), *self.held.content())

    def code(self) -> str:
        """Return the text of the model and of what judges it, where there is one."""
        return "\n".join(map(_source, (self.make, self.criterion, self.judge)))

    def notes(self) -> tuple[str, ...]:
        """Return what trying the model in lanes brought up."""
        return self._template.lanes.notes

    def loss(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the loss of each lane."""
        rows, shared = _rows(self.examples, weights, batch)
        return self._template.lanes(weights, rows, shared=shared)

    @grouped
    def gradient(self, weights: Weights, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Write each lane's gradient, by autograd through `torch.func.vmap`."""
        rows, shared = _rows(self.examples, weights, batch)
        found = self._template.lanes.gradient(weights, rows, shared=shared)
        for name, gradient in zip(weights, found, strict=True):
            out[name].copy_(gradient)

    def evaluate(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the metric on the validation examples."""
        (index,) = batch
        judge = self._template.judge
        lane_bytes = self.lane_bytes * max(1.0, index.shape[1] / self.batch)
        values = []
        for lanes in groups(index.shape[0], lane_bytes, index.device):
            part = {name: w[lanes] for name, w in weights.items()}
            rows, shared = _rows(self.held, part, (index[lanes],))
            values.append(judge(part, rows, shared=shared))
        return torch.cat(values).double()


def _rows(examples: Examples, weights: Weights, batch: Batch) -> tuple[list[Tensor], bool]:
    """Return the examples of a batch, and whether all lanes share them."""
    (index,) = batch
    like = next(iter(weights.values()))
    shared = index.shape[0] == 1 or index.stride(0) == 0
    chosen = index[0] if shared else index
    return [part[chosen] for part in examples.on(like.device, like.dtype)], shared


@lru_cache(maxsize=16)
@torch.inference_mode(mode=False)
def _template(task: ModuleTask) -> _Template:
    """Build a model, try it, and see what it costs.

    Raises:
        TaskDataError: It cannot be trained in lanes; says why and what to do.
    """
    model = build(task.make, 0)
    _check_fresh(task.make, model)
    lanes = ModuleLanes(model, task.criterion, task.inputs)
    rows = torch.arange(2 * task.batch) % len(task.examples)
    pairs = [part[rows].unflatten(0, (2, task.batch)) for part in task.examples.parts]
    tried = lanes.tried(pairs)
    return _Template(
        _parameters(model, task.heads),
        tried,
        tried.judged_by(task.judge),
        lanes.cost([part[0] for part in pairs]),
    )


def _check_fresh(make: Callable[[], nn.Module], model: nn.Module) -> None:
    """Check that a seed gives a model, and that seeds differ in its trained weights alone."""
    again, other = build(make, 0), build(make, 1)
    if not trained(model):
        raise TaskDataError("expected a model with parameters to train, found none")
    for name, value in model.state_dict().items():
        if not torch.equal(value, again.state_dict()[name]):
            raise TaskDataError(
                f"two models of one seed differ in {name}: expected a function that makes a new "
                "model each time, with random numbers of torch alone"
            )
    fixed = {*dict(model.named_buffers()), *dict(model.named_parameters())} - {*trained(model)}
    for name in fixed:
        first, second = (dict([*m.named_buffers(), *m.named_parameters()]) for m in (model, other))
        if not torch.equal(first[name], second[name]):
            raise TaskDataError(
                f"{name} is drawn at random and not trained, so every seed would have another "
                "model: draw it with a torch.Generator of its own, or train it"
            )


def _parameters(model: nn.Module, heads: tuple[str, ...] | None) -> tuple[Parameter, ...]:
    """Return the parameters with their roles, which an exported optimizer's groups know."""
    try:
        given = None if heads is None else [model.get_submodule(name) for name in heads]
    except AttributeError as error:
        raise TaskDataError(f"expected `heads` to name modules of the model: {error}") from None
    sides = parameter_groups(model, given)
    hidden = {
        id(p)
        for group in sides
        if group["use_matrix_rule"] and not group["batch_dims"]
        for _, p in group["params"]
    }
    tables, layers = (
        {
            id(p)
            for path, module in model.named_modules()
            if isinstance(module, kind) and (table or "embed" not in path.lower())
            for p in module.parameters(recurse=False)
        }
        for kind, table in ((nn.Embedding, True), (nn.Linear, False))
    )
    tables |= {id(p) for p in model.parameters()} - layers
    return tuple(
        Parameter(name, tuple(p.shape), _role(p, id(p) in hidden, id(p) in tables))
        for name, p in trained(model).items()
    )


def _role(p: nn.Parameter, hidden: bool, table: bool) -> Role:
    if hidden:
        return Role.HIDDEN
    if p.dim() < 2:
        return Role.VECTOR
    return Role.EMBEDDING if table else Role.HEAD


def _source(function: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"
