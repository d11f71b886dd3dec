"""An optimizer to check, and a problem to check it on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.testing._internal.common_optimizers import OptimizerInfo, OptimizerInput

torch.backends.__allow_nonbracketed_mutation_flag = True  # the import forbids setting flags

__all__ = ["Problem", "Subject", "refused", "values"]


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
        shrinks: bool = True,
        **options: Any,
    ) -> None:
        """Describe an optimizer.

        Args:
            optim_cls: its class.
            inputs: constructor arguments to try; the first is the plain case.
            errors: constructor arguments that must raise ValueError.
            matrices_only: whether it takes matrices alone, so that checks have no vectors.
            rests: whether a parameter whose gradient was always zero stays where it is.
            shrinks: whether weight decay makes matrices smaller; some keep their norm.
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
        self.shrinks = shrinks

    def make(self, params: Any, **extra: Any) -> Optimizer:
        """Return the optimizer with the arguments of the plain case, over these parameters."""
        plain = self.optim_inputs_func("cpu")[0].kwargs
        return self.optim_cls(params, **{**plain, **extra})

    def kinds(self) -> Iterator[dict[str, Any]]:
        """Yield all constructor arguments to try."""
        yield from (entry.kwargs for entry in self.optim_inputs_func("cpu"))


class Problem:
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


def values(params: list[Parameter]) -> list[Tensor]:
    return [p.detach().clone() for p in params]


def refused(call: Callable[[], Any], *errors: type[Exception]) -> None:
    try:
        call()
    except errors:
        return
    raise AssertionError(f"expected one of {[e.__name__ for e in errors]}, nothing was raised")
