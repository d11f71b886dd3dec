# SPDX-License-Identifier: 0BSD
"""SignDescent, an optimizer for PyTorch.

Candidate 507 of 588, found from adamw with seed 0.
"""

# pyright: reportPrivateImportUsage=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

__all__ = ["SignDescent"]


class SignDescent(Optimizer):
    """SignDescent: one rule for hidden matrices, one for the rest.

    A hidden matrix w with gradient g moves by

        u = sign(g) + g
        w = w - lr * (u + weight_decay * w)

    Any other parameter w with gradient g and states m, v, 0 at first, moves by

        m = (1 - beta1) * g + beta1 * m
        v = beta2 * v + (1 - beta2) * g**2
        u = minimum(w, limit) + m / sqrt(v / (1 - beta3**t))
        w = w - backup_lr * (u + backup_wd * w)

    Default values are those of the program. States have their parameter's dtype.
    Sparse gradients and complex numbers are refused.

    Args:
        params: parameters or groups of them, as for any optimizer; groups may override
            all else.
        lr: learning rate, a number or a tensor of one element, >= 0.
        weight_decay: decoupled weight decay, per step and unit of lr, >= 0.
        backup_lr, backup_betas, backup_limit, backup_wd: for the other parameters;
            their learning rate follows `lr` in constant proportion.
        use_matrix_rule: whether a group's parameters are such matrices; by default,
            those of two or more dimensions and fewer than 10,000 rows. Where False, the
            group's `lr` is the rate for the others.
        maximize, foreach, capturable: as in torch.optim.AdamW; by default, foreach on a
            GPU.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.01,
        weight_decay: float = 0.0,
        *,
        backup_lr: float = 0.098,
        backup_betas: tuple[float, ...] = (0.0905, 0.9858, 0.9875),
        backup_limit: float = 0.008,
        backup_wd: float = 0.0,
        use_matrix_rule: bool | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "backup_lr": backup_lr,
            "backup_betas": backup_betas,
            "backup_limit": backup_limit,
            "backup_wd": backup_wd,
            "use_matrix_rule": use_matrix_rule,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict) -> None:
        """Add parameters; what their group does not set is as for all others."""
        if param_group.get("use_matrix_rule") is False and "lr" in param_group:
            param_group = {"backup_lr": param_group["lr"], **param_group}
        group = {**self.defaults, **param_group}
        _check("lr", group["lr"], 0.0)
        _check("weight_decay", group["weight_decay"], 0.0)
        _check("backup_lr", group["backup_lr"], 0.0)
        _check("backup_betas", group["backup_betas"], 0.0, 1.0, 3)
        _check("backup_limit", group["backup_limit"], float("-inf"))
        _check("backup_wd", group["backup_wd"], 0.0)
        lr = group["lr"] if "backup_lr" in param_group else self.defaults["lr"]
        if lr == 0:
            raise ValueError("lr must be > 0: the other rate is a multiple of it")
        ratio = float(group["backup_lr"]) / float(lr)
        super().add_param_group({"lr_ratio": ratio, **param_group})

    def __setstate__(self, state: dict) -> None:
        """Restore a state; one of an older version may lack options."""
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("maximize", False)
            group.setdefault("foreach", None)
            group.setdefault("capturable", False)
            for p in group["params"]:
                if "step" in self.state.get(p, {}):
                    self.state[p]["step"] = _counter(self.state[p]["step"], p, group)

    @torch.no_grad()
    def step(self, closure=None):
        """Update all parameters that have a gradient; return what the closure returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for matrices, params in self._batches(group):
                self._advance(matrices, params, group)
        return loss

    def _advance(self, matrices, params, group):
        """Update parameters in one call; what it computes is gone before the next."""
        g = [p.grad for p in params]
        if group["maximize"]:
            g = torch._foreach_neg(g)
        if matrices:
            self._count(params, group)  # so that there is a state to save
            u = _matrix_update(g)
            _descend(params, u, group["lr"], group["weight_decay"])
        else:
            m = [self.state[p]["m"] for p in params]
            v = [self.state[p]["v"] for p in params]
            t = self._count(params, group)
            u = _backup_update(params, g, m, v, t, group=group)
            lr = group["lr"] * group["lr_ratio"]
            _descend(params, u, lr, group["backup_wd"])

    def _batches(self, group):
        """Return the parameters with gradients, in lists of bounded size."""
        batches, last = [], {}
        for i, p in enumerate(group["params"]):
            if p.grad is None:
                continue
            if p.is_complex() or p.grad.layout != torch.strided:
                _refuse(group, i, "must be real and have a dense gradient")
            matrix = _is_matrix(group, i)
            state = self.state[p]
            if not state and matrix:
                state["step"] = _counter(0.0, p, group)
            elif not state:
                state["step"] = _counter(0.0, p, group)
                state["m"] = torch.zeros_like(p)
                state["v"] = torch.zeros_like(p)
            foreach = group["foreach"]
            if foreach is None:
                foreach = p.is_cuda
            place = (p.device, p.dtype, getattr(p, "device_mesh", None))
            key = (matrix, place) if foreach else i
            batch, size = last.get(key, (None, 0))
            if batch is None or size + p.numel() > (2**18 if p.is_cpu else 2**23):
                batch, size = [], 0
                batches.append((matrix, batch))
            batch.append(p)
            last[key] = batch, size + p.numel()
        return batches

    def _count(self, params, group):
        """Advance the step counters and return them, as numbers unless on a device."""
        t = [self.state[p]["step"] for p in params]
        torch._foreach_add_(t, 1)
        if group["capturable"] or torch.compiler.is_compiling():
            return t
        return [x.item() for x in t]


def _matrix_update(g):
    """Return the updates."""
    u = torch._foreach_sign(g)
    torch._foreach_add_(u, g)
    return u


def _backup_update(w, g, m, v, t, *, group):
    """Return the updates; the states are advanced in place."""
    beta1, beta2, beta3 = group["backup_betas"]
    limit = group["backup_limit"]
    u = torch._foreach_clamp_max(w, limit)
    m_1 = torch._foreach_lerp(g, m, beta1)
    torch._foreach_mul_(v, beta2)
    torch._foreach_addcmul_(v, g, g, value=1 - beta2)
    root = torch._foreach_div(v, [1 - beta3**x for x in t])
    torch._foreach_sqrt_(root)
    x2 = list(map(safe_div, m_1, root))
    torch._foreach_add_(u, x2)
    _store(m, m_1)
    return u


def safe_div(x: Tensor, y: Tensor) -> Tensor:
    """Return x / y, and 0 where y is 0. One of the two may be a number."""
    if not isinstance(y, Tensor):
        return x / y if y != 0 else torch.zeros_like(x)
    return torch.where(y.bool(), x / y, 0.0)  # on a CPU .bool() is faster than != 0


def _check(name, value, low, high=float("inf"), count=1):
    """Raise ValueError unless a value is `count` numbers in [low, high)."""
    x = torch.as_tensor(value, dtype=torch.float64, device="cpu")
    if x.numel() != count or not ((low <= x) & (x < high)).all():
        numbers = "a number" if count == 1 else f"{count} numbers"
        raise ValueError(f"{name} must be {numbers} in [{low}, {high}), found {value}")


def _counter(steps, p, group):
    """Return a counter of steps, on the CPU unless a CUDA graph has to advance it."""
    device = p.device if group["capturable"] else "cpu"
    return torch.as_tensor(steps, dtype=torch.float32, device=device)


def _refuse(group, i, why):
    """Raise ValueError about a parameter."""
    name = group["param_names"][i] if "param_names" in group else i
    shape = tuple(group["params"][i].shape)
    raise ValueError(f"parameter {name} of shape {shape} {why}")


def _is_matrix(group, i):
    """Whether the rule for matrices updates a parameter."""
    p, chosen = group["params"][i], group["use_matrix_rule"]
    if chosen and p.ndim < 2:
        _refuse(group, i, "must have two dimensions or more")
    return p.ndim >= 2 and p.shape[0] < 10_000 if chosen is None else chosen


def _like(x, like):
    """Return x in the shape of another tensor, and sharded as that is."""
    x = x.reshape(like.shape)
    if not hasattr(like, "full_tensor") or hasattr(x, "full_tensor"):
        return x
    from torch.distributed.tensor import distribute_tensor

    mesh, placements = like.device_mesh, like.placements
    return distribute_tensor(x, mesh, placements, src_data_rank=None)


def _store(states, values):
    """Copy new values into the states."""
    for state, value in zip(states, values, strict=True):
        state.copy_(_like(value, state))


def _descend(params, u, lr, weight_decay=0.0):
    """Subtract lr * (u + weight_decay * params) from the parameters."""
    if isinstance(lr, Tensor):  # multiplies where it is: nobody waits for its value
        lr = lr.reshape(())
        u = torch._foreach_mul(u, lr)
    if weight_decay != 0:
        torch._foreach_mul_(params, 1 - lr * weight_decay)
    torch._foreach_add_(params, u, alpha=-1 if isinstance(lr, Tensor) else -lr)
