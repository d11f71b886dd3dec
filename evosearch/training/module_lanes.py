"""A torch module in lanes: its forward pass on stacked weights, by `torch.func`.

`vmap` turns the operations of one model into operations of many. What it cannot turn, such as a
branch that depends on the data, is computed for one lane after another: right, and as slow as a
plain loop. Whether a lane's result depends on the lanes beside it is tried, not assumed.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor, nn
from torch.func import functional_call, replace_all_batch_norm_modules_, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from evosearch.training.examples import seeded
from proxy_tasks.data.cache import TaskDataError
from proxy_tasks.task import Weights, generator

__all__ = ["Criterion", "ModuleLanes", "StepCost", "build", "trained"]

Criterion = Callable[..., Tensor]
"""``(output, *targets)`` to the mean loss of a batch, one number."""

_LANES: Final = 6
"""Lanes that are tried together; any other number of them must give the same."""
_WAYS: Final = ((True, 1), (True, 2), (False, 1), (False, 2))
"""Ways to compute lanes, quickest first: whether a batch that they share is read once for all, and
the fewest lanes at once. A library may take another path through a convolution for either."""


def build(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Make a seed's model, ready for lanes: in training mode, batch norm without memory.

    Batch norm takes the statistics of the batch it sees, in training and validation alike: running
    averages would be states that no optimizer is told of.

    Raises:
        TaskDataError: It is no module, or lanes cannot train it.
    """
    with seeded(seed, "module/initialize"):
        model = make()
    if not isinstance(model, nn.Module):
        raise TaskDataError(
            f"expected a function that returns a torch.nn.Module, found {type(model).__name__}; "
            "give the class or a function, as in evosearch.task(lambda: Net(64), ...)"
        )
    _refuse_noise(model)
    replace_all_batch_norm_modules_(model)
    choose = getattr(model, "set_attn_implementation", None)
    if callable(choose):  # Hugging Face: fused attention has no lanes
        choose("eager")
    wrong = {
        name: p
        for name, p in model.named_parameters()
        if isinstance(p, nn.parameter.UninitializedParameter) or p.dtype is not torch.float32
    }
    if wrong:
        raise TaskDataError(
            f"expected parameters of 32-bit floats with known shapes, found {', '.join(wrong)}: "
            "call a lazy module once where it is made, and return model.float()"
        )
    return model.train()


def _refuse_noise(model: nn.Module) -> None:
    """Refuse dropout, which draws other numbers for a lane when other lanes are beside it."""
    noisy = [
        name
        for name, module in model.named_modules()
        if (isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0)
        or (isinstance(rate := getattr(module, "dropout", None), float) and rate > 0)
    ]
    if noisy:
        raise TaskDataError(
            f"expected a model without dropout, found {', '.join(noisy[:4])}"
            f"{' and more' if len(noisy) > 4 else ''}: its noise would depend on the lanes beside "
            "a model, and scores on luck. Set p=0 (of a Hugging Face configuration every *_pdrop "
            "or *_dropout); runs as short as a search's need none"
        )


@dataclass(frozen=True)
class StepCost:
    """What one model's step on a batch takes."""

    flops: float
    """Of forward and backward pass, as `torch.utils.flop_counter` counts them."""
    saved: float
    """Bytes that autograd keeps from the forward for the backward pass."""


@dataclass(frozen=True, eq=False)
class ModuleLanes:
    """A model's loss as a function of stacked weights."""

    model: nn.Module
    """Gives its code and its buffers; its own weights are not used."""
    criterion: Criterion
    inputs: int
    """How many of a batch's tensors the model takes; the others go to the criterion."""
    together: bool = True
    """Whether lanes are computed together, or one after another."""
    sharing: bool = True
    """Whether a batch that lanes share is read once for all."""
    least: int = 1
    """Fewest lanes that are computed together; copies fill up."""
    notes: tuple[str, ...] = ()
    """What a user should know of it."""

    def judged_by(self, criterion: Criterion) -> ModuleLanes:
        """Return the model in evaluation mode, with what it is judged by."""
        return replace(self, model=copy.deepcopy(self.model).eval(), criterion=criterion)

    def one(self, weights: Weights, *batch: Tensor) -> Tensor:
        """Return the loss of one model on one batch."""
        output = functional_call(self.model, dict(weights), batch[: self.inputs])
        return self.criterion(output, *batch[self.inputs :])

    def __call__(self, weights: Weights, batch: Sequence[Tensor], *, shared: bool) -> Tensor:
        """Return the loss of each lane, (L,).

        Args:
            weights: Each (L, *shape).
            batch: Each (L, N, ...), or (N, ...) where it is shared.
            shared: Whether all lanes see one batch.
        """
        lanes = next(iter(weights.values())).shape[0]
        with _without_fused_attention():
            if not self.together:
                each = ([*batch] if shared else [part[i] for part in batch] for i in range(lanes))
                rows = ({k: w[i] for k, w in weights.items()} for i in range(lanes))
                return torch.stack([self.one(w, *b) for w, b in zip(rows, each, strict=True)])
            if shared and not self.sharing:
                batch, shared = [p.expand(lanes, *p.shape) for p in batch], False
            if lanes < self.least:
                weights = {k: _filled(w, self.least) for k, w in weights.items()}
                batch = batch if shared else [_filled(part, self.least) for part in batch]
            places = (0, *(None if shared else 0 for _ in batch))
            return vmap(self.one, in_dims=places)(dict(weights), *batch)[:lanes]

    def gradient(
        self, weights: Weights, batch: Sequence[Tensor], *, shared: bool
    ) -> tuple[Tensor, ...]:
        """Return each lane's gradient of its own loss, in the order of the weights."""
        leaves = {name: w.detach().requires_grad_() for name, w in weights.items()}
        with torch.enable_grad():
            total = self(leaves, batch, shared=shared).sum()
            found = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
        return tuple(
            torch.zeros_like(w) if g is None else g
            for g, w in zip(found, leaves.values(), strict=True)
        )

    def tried(self, batches: Sequence[Tensor]) -> ModuleLanes:
        """Return it as it has to be computed, after trying.

        Args:
            batches: Each (2, N, ...): two batches of examples.

        Raises:
            TaskDataError: The model, or what judges it, fails, draws random numbers, changes a
                buffer or does not return one finite number.
        """
        self._check(batches)
        weights = self._perturbed()
        wide = [part[[i % 2 for i in range(_LANES)]] for part in batches]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                whole = self.gradient(weights, wide, shared=False)
        except Exception as error:
            why = str(error).partition("\n")[0][:120]
            note = f"models are trained one after another, because torch.func says: {why}"
            return replace(self, together=False, notes=(*self.notes, note))
        for sharing, least in _WAYS:
            lanes = replace(self, sharing=sharing, least=least)
            if lanes._independent(weights, wide, whole):
                return lanes
        note = (
            "on this machine the last bits of a model's result depend on the models beside it: "
            "a run repeats itself, but may differ from one with other packs"
        )
        return replace(self, notes=(*self.notes, note))

    def cost(self, batch: Sequence[Tensor]) -> StepCost:
        """Return what a step on a batch, each (N, ...), takes."""
        saved: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            saved[storage.data_ptr()] = storage.nbytes()
            return tensor

        weights = {k: p.detach().requires_grad_() for k, p in trained(self.model).items()}
        counter = FlopCounterMode(display=False)
        hooks = torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor)
        with counter, hooks, torch.enable_grad(), _without_fused_attention():
            loss = self.one(weights, *batch)
            torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
        return StepCost(float(counter.get_total_flops()), float(sum(saved.values())))

    def _check(self, batches: Sequence[Tensor]) -> None:
        """Try one model on one batch."""
        weights = {k: p.detach() for k, p in trained(self.model).items()}
        before = {name: b.clone() for name, b in self.model.named_buffers()}
        state = torch.get_rng_state()
        with torch.no_grad(), _without_fused_attention():
            loss = self.one(weights, *(part[0] for part in batches))
        if not isinstance(loss, Tensor) or loss.dim() or not loss.is_floating_point():
            found = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"{loss!r:.40}"
            raise TaskDataError(
                f"expected the loss of a batch to be one number, a tensor of shape (), found "
                f"{found}; average over the batch"
            )
        if not bool(loss.isfinite()):
            raise TaskDataError(
                f"expected a finite loss at the initial weights, found {float(loss)}; correct the "
                "data, or how the weights begin"
            )
        if not torch.equal(state, torch.get_rng_state()):
            torch.set_rng_state(state)
            raise TaskDataError(
                "the model or its loss draws random numbers, as functional dropout does; its noise "
                "would depend on the models beside it. Switch it off"
            )
        changed = [n for n, b in self.model.named_buffers() if not torch.equal(b, before[n])]
        if changed:
            raise TaskDataError(
                f"the forward pass changes the buffer {changed[0]}: a state that no optimizer is "
                "told of, and that models in lanes cannot share. Compute it anew in each pass, or "
                "use GroupNorm or LayerNorm"
            )

    def _perturbed(self) -> dict[str, Tensor]:
        """Return weights of some lanes, all different."""
        random = generator(0, "module/lanes")
        return {
            name: p.detach() + 0.05 * torch.randn(_LANES, *p.shape, generator=random)
            for name, p in trained(self.model).items()
        }

    def _independent(
        self, weights: Weights, batches: Sequence[Tensor], whole: Sequence[Tensor]
    ) -> bool:
        """Whether a lane has the same gradient, to the last bit, alone, beside some and shared."""
        wide = torch.arange(_LANES)
        for index, shared in [
            *((wide[i : i + 1], False) for i in (0, _LANES - 1)),
            *((wide[1:n], False) for n in range(3, _LANES)),
            *((wide[i : i + 1], True) for i in (0, _LANES - 1)),
            (wide[::2], True),
            (wide[1::2], True),
        ]:
            part = {name: w[index] for name, w in weights.items()}
            batch = [b[index[0]] if shared else b[index] for b in batches]
            found = self.gradient(part, batch, shared=shared)
            if not all(torch.equal(a, b[index]) for a, b in zip(found, whole, strict=True)):
                return False
        return True


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are trained, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def _filled(tensor: Tensor, lanes: int) -> Tensor:
    """Return the lanes, the last one repeated to so many."""
    return torch.cat([tensor, tensor[-1:].expand(lanes - tensor.shape[0], *tensor.shape[1:])])


@contextmanager
def _without_fused_attention() -> Iterator[None]:
    """Have attention computed by ordinary products: `vmap` has no rule for the fused kernels."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
