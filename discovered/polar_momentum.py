# SPDX-License-Identifier: 0BSD
"""PolarMomentum, an optimizer for PyTorch.

Candidate 372 of 408, found from muon with seed 0.
"""

# pyright: reportPrivateImportUsage=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

__all__ = ["PolarMomentum"]


class PolarMomentum(Optimizer):
    """PolarMomentum: one rule for hidden matrices, one for the rest.

    A hidden matrix w with gradient g and state m, 0 at first, moves by

        m = momentum * m + g
        u = spectral_scale(polar_express(m))
        w = w - lr * (u + weight_decay * w)

    Any other parameter w with gradient g and states m, v, 0 at first, moves by

        m = beta1 * m + (1 - beta1) * g
        v = beta3 * v + (1 - beta3) * g**2
        u = m / (1 - beta2**t) / (sqrt(v / (1 - beta4**t)) + eps)
        w = w - backup_lr * (u + backup_wd * w)

    Default values are those of the program. States have their parameter's dtype.
    Sparse gradients and complex numbers are refused.

    Args:
        params: parameters or groups of them, as for any optimizer; groups may override
            all else.
        lr: learning rate, a number or a tensor of one element, >= 0.
        momentum: decay rate of the running average per step, in [0, 1).
        ns_dtype: dtype of Newton-Schulz, torch.bfloat16 say; by default the
            parameter's.
        weight_decay: decoupled weight decay, per step and unit of lr, >= 0.
        backup_lr, backup_betas, backup_eps, backup_wd: for the other parameters; their
            learning rate follows `lr` in constant proportion.
        use_matrix_rule: whether a group's parameters are such matrices; by default,
            those of two or more dimensions and fewer than 10,000 rows. Where False, the
            group's `lr` is the rate for the others.
        maximize, foreach, capturable: as in torch.optim.AdamW; by default, foreach on a
            GPU.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.065,
        momentum: float = 0.51,
        ns_dtype: torch.dtype | None = None,
        weight_decay: float = 0.0,
        *,
        backup_lr: float = 0.053,
        backup_betas: tuple[float, ...] = (0.777, 0.9, 0.95, 0.9864),
        backup_eps: float = 1e-10,
        backup_wd: float = 0.0,
        use_matrix_rule: bool | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "ns_dtype": ns_dtype,
            "weight_decay": weight_decay,
            "backup_lr": backup_lr,
            "backup_betas": backup_betas,
            "backup_eps": backup_eps,
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
        _check("momentum", group["momentum"], 0.0, 1.0)
        _check("weight_decay", group["weight_decay"], 0.0)
        _check("backup_lr", group["backup_lr"], 0.0)
        _check("backup_betas", group["backup_betas"], 0.0, 1.0, 4)
        _check("backup_eps", group["backup_eps"], 0.0)
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
            g = [_matrix(x) for x in g]
            m = [_matrix(self.state[p]["m"]) for p in params]
            u = _matrix_update(g, m, group)
            u = [_like(x, p) for x, p in zip(u, params, strict=True)]
            _descend(params, u, group["lr"], group["weight_decay"])
        else:
            m = [self.state[p]["m"] for p in params]
            v = [self.state[p]["v"] for p in params]
            t = self._count(params, group)
            u, d = _backup_update(g, m, v, t, group)
            lr = group["lr"] * group["lr_ratio"]
            _descend(params, u, lr, group["backup_wd"], d)

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
                state["m"] = p.new_zeros(p.shape)
            elif not state:
                state["step"] = _counter(0.0, p, group)
                state["m"] = torch.zeros_like(p)
                state["v"] = torch.zeros_like(p)
            foreach = group["foreach"]
            if foreach is None:
                foreach = matrix or p.is_cuda
            place = (p.device, p.dtype, getattr(p, "device_mesh", None))
            key = (matrix, place, p.shape if matrix else None) if foreach else i
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


def _matrix_update(g, m, group):
    """Return the updates; the states are advanced in place."""
    momentum = group["momentum"]
    ns_dtype = group["ns_dtype"]
    torch._foreach_mul_(m, momentum)
    torch._foreach_add_(m, g)
    u = polar_express(_stack(m, ns_dtype)).to(g[0].dtype)
    u *= max(1.0, u.shape[-2] / max(1, u.shape[-1])) ** 0.5
    return u


def _backup_update(g, m, v, t, group):
    """Return numerators and denominators of the updates; the states are advanced in place."""
    beta1, beta2, beta3, beta4 = group["backup_betas"]
    eps = group["backup_eps"]
    torch._foreach_lerp_(m, g, 1 - beta1)
    torch._foreach_mul_(v, beta3)
    torch._foreach_addcmul_(v, g, g, value=1 - beta3)
    d = torch._foreach_div(v, [1 - beta4**x for x in t])
    torch._foreach_sqrt_(d)
    torch._foreach_add_(d, eps)
    torch._foreach_mul_(d, [1 - beta2**x for x in t])
    return m, d


def polar_express(x: Tensor) -> Tensor:
    """Approximate the orthogonal polar factor of x (..., m, n) in five minimax quintic steps.

    Coefficients: the five-step list of modded-nanogpt (safety factor 1.02, cushion 2), made by the
    method of Amsel et al., https://arxiv.org/abs/2505.16932. Computed in x's dtype.
    """
    coefficients = [
        (8.156554524902461, -22.48329292557795, 15.878769915207462),
        (4.042929935166739, -2.808917465908714, 0.5000178451051316),
        (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
        (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
        (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
    ]
    norm = torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True)
    return quintic(x / (1.02 * norm + 1e-7), coefficients)


def quintic(y: Tensor, coefficients: list[tuple[float, float, float]]) -> Tensor:
    """Move y's singular values s to a s + b s^3 + c s^5, for one (a, b, c) after another."""
    shape, tall = y.shape, y.shape[-2] > y.shape[-1]
    y = y.unsqueeze(0).flatten(0, -3)
    for a, b, c in coefficients:
        gram = torch.bmm(y.mT, y) if tall else torch.bmm(y, y.mT)  # of the shorter side
        poly = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factors = (y, poly) if tall else (poly, y)
        y = torch.baddbmm(y, *factors, beta=a)
    return y.reshape(shape)


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


def _matrix(x):
    """Return x as a matrix; a convolution's weight has a row for each output channel."""
    return x.flatten(1) if x.ndim > 1 else x.reshape(1, -1)


def _stack(xs, dtype=None):
    """Stack matrices of one shape; what is sharded (FSDP) is gathered."""
    whole = [x.full_tensor() if hasattr(x, "full_tensor") else x for x in xs]
    stack = whole[0].new_empty(len(whole), *whole[0].shape, dtype=dtype)
    torch._foreach_copy_(stack.unbind(), whole)
    return stack


def _like(x, like):
    """Return x in the shape of another tensor, and sharded as that is."""
    x = x.reshape(like.shape)
    if not hasattr(like, "full_tensor") or hasattr(x, "full_tensor"):
        return x
    from torch.distributed.tensor import distribute_tensor

    mesh, placements = like.device_mesh, like.placements
    return distribute_tensor(x, mesh, placements, src_data_rank=None)


def _descend(params, u, lr, weight_decay=0.0, d=None):
    """Subtract lr * (u / d + weight_decay * params) from the parameters."""
    if isinstance(lr, Tensor):  # multiplies where it is: nobody waits for its value
        lr = lr.reshape(())
        u = torch._foreach_mul(u, lr)
    if weight_decay != 0:
        torch._foreach_mul_(params, 1 - lr * weight_decay)
    rate = -1 if isinstance(lr, Tensor) else -lr
    if d is None:
        torch._foreach_add_(params, u, alpha=rate)
    else:
        torch._foreach_addcdiv_(params, u, d, value=rate)
