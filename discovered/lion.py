# SPDX-License-Identifier: 0BSD
"""Lion, an optimizer for PyTorch.

Candidate 1473 of 4,000, found from adamw with seed 708.
"""

# pyright: reportPrivateImportUsage=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

__all__ = ["Lion"]


class Lion(Optimizer):
    """The Lion optimizer.

    A parameter w with gradient g and state m, 0 at first, moves by

        u = sign(beta1 * m + (1 - beta1) * g)
        m = beta2 * m + (1 - beta2) * g
        w = w - lr * (u + weight_decay * w)

    Default values are those of the program. States have their parameter's dtype.
    Sparse gradients and complex numbers are refused.

    Args:
        params: parameters or groups of them, as for any optimizer; groups may override
            all else.
        lr: learning rate, a number or a tensor of one element, >= 0.
        betas: decay rates of the running averages per step, in [0, 1).
        weight_decay: decoupled weight decay, per step and unit of lr, >= 0.
        maximize, foreach, capturable: as in torch.optim.AdamW; by default, foreach on a
            GPU.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.066,
        betas: tuple[float, float] = (0.4808, 0.9628),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict) -> None:
        """Add parameters; what their group does not set is as for all others."""
        group = {**self.defaults, **param_group}
        _check("lr", group["lr"], 0.0)
        _check("betas", group["betas"], 0.0, 1.0, 2)
        _check("weight_decay", group["weight_decay"], 0.0)
        super().add_param_group(param_group)

    def __setstate__(self, state: dict) -> None:
        """Restore a state; one of an older version may lack options."""
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("maximize", False)
            group.setdefault("foreach", None)
            group.setdefault("capturable", False)

    @torch.no_grad()
    def step(self, closure=None):
        """Update all parameters that have a gradient; return what the closure returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for params in self._batches(group):
                self._advance(params, group)
        return loss

    def _advance(self, params, group):
        """Update parameters in one call; what it computes is gone before the next."""
        g = [p.grad for p in params]
        if group["maximize"]:
            g = torch._foreach_neg(g)
        m = [self.state[p]["m"] for p in params]
        u = _update(g, m, group)
        _descend(params, u, group["lr"], group["weight_decay"])

    def _batches(self, group):
        """Return the parameters with gradients, in lists of bounded size."""
        batches, last = [], {}
        for i, p in enumerate(group["params"]):
            if p.grad is None:
                continue
            if p.is_complex() or p.grad.layout != torch.strided:
                _refuse(group, i, "must be real and have a dense gradient")
            state = self.state[p]
            if not state:
                state["m"] = torch.zeros_like(p)
            foreach = p.is_cuda if group["foreach"] is None else group["foreach"]
            key = (p.device, p.dtype, getattr(p, "device_mesh", None)) if foreach else i
            batch, size = last.get(key, (None, 0))
            if batch is None or size + p.numel() > (2**18 if p.is_cpu else 2**23):
                batch, size = [], 0
                batches.append(batch)
            batch.append(p)
            last[key] = batch, size + p.numel()
        return batches


def _update(g, m, group):
    """Return the updates; the states are advanced in place."""
    beta1, beta2 = group["betas"]
    u = torch._foreach_mul(m, beta1)
    torch._foreach_add_(u, g, alpha=1 - beta1)
    torch._foreach_sign_(u)
    torch._foreach_mul_(m, beta2)
    torch._foreach_add_(m, g, alpha=1 - beta2)
    return u


def _check(name, value, low, high=float("inf"), count=1):
    """Raise ValueError unless a value is `count` numbers in [low, high)."""
    x = torch.as_tensor(value, dtype=torch.float64, device="cpu")
    if x.numel() != count or not ((low <= x) & (x < high)).all():
        numbers = "a number" if count == 1 else f"{count} numbers"
        raise ValueError(f"{name} must be {numbers} in [{low}, {high}), found {value}")


def _refuse(group, i, why):
    """Raise ValueError about a parameter."""
    name = group["param_names"][i] if "param_names" in group else i
    shape = tuple(group["params"][i].shape)
    raise ValueError(f"parameter {name} of shape {shape} {why}")


def _descend(params, u, lr, weight_decay=0.0):
    """Subtract lr * (u + weight_decay * params) from the parameters."""
    if isinstance(lr, Tensor):  # multiplies where it is: nobody waits for its value
        lr = lr.reshape(())
        u = torch._foreach_mul(u, lr)
    if weight_decay != 0:
        torch._foreach_mul_(params, 1 - lr * weight_decay)
    torch._foreach_add_(params, u, alpha=-1 if isinstance(lr, Tensor) else -lr)
