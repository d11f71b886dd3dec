# SPDX-License-Identifier: 0BSD
# pyright: reportPrivateImportUsage=false, reportIncompatibleMethodOverride=false
"""Lion, an optimizer for PyTorch.

Candidate 1473 of 4,000, found from adamw with seed 708.
"""

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

__all__ = ["Lion"]


class Lion(Optimizer):
    """The Lion optimizer.

    A parameter w with gradient g and state exp_avg, 0 at first, moves by

        u = sign(beta1 * exp_avg + (1 - beta1) * g)
        exp_avg = beta2 * exp_avg + (1 - beta2) * g
        w = w - lr * (u + weight_decay * w)

    States have their parameter's dtype. The search did best with lr 0.066, in units of
    the formula, on models of a few thousand parameters; defaults are for ordinary ones.

    Args:
        params: parameters, named or not, or groups with options of their own.
        lr: learning rate, a number or a tensor of one element, >= 0.
        betas: decay rates of the running averages per step, in [0, 1).
        weight_decay: decoupled weight decay, per step and unit of lr, >= 0.
        maximize, foreach, capturable: as in torch.optim.AdamW; foreach by default.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.0001,
        betas: tuple[float, float] = (0.4808, 0.9628),
        *,
        weight_decay: float = 0.0,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
    ) -> None:
        options = {"lr": lr, "betas": betas, "weight_decay": weight_decay}
        flags = {"maximize": maximize, "foreach": foreach, "capturable": capturable}
        super().__init__(params, {**options, **flags})

    def add_param_group(self, param_group: dict) -> None:
        """Add parameters; what their group does not say is as for all others."""
        _refuse(param_group, self.defaults)
        _check({**self.defaults, **param_group}, 2)
        super().add_param_group(param_group)

    def __setstate__(self, state: dict) -> None:
        """Restore a state; options that an older version lacks are as by default."""
        for group in state["param_groups"]:  # which may be those of another optimizer
            expected = {"exp_avg"}
            for found in (state["state"].get(p) for p in group["params"]):
                if found and {*found} != expected:
                    what = f"states {sorted(expected)}, found {sorted(found)}"
                    raise ValueError(f"expected {what}: another optimizer's?")
        super().__setstate__(state)
        for group in self.param_groups:
            for name in self.defaults.keys() - {"differentiable"}:  # which torch adds
                group.setdefault(name, self.defaults[name])

    @torch.no_grad()
    def step(self, closure=None):
        """Update all parameters that have a gradient; return what the closure returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        work = [(x, params) for x in self.param_groups for params in self._batches(x)]
        for group, params in work:  # what one computes is gone before the next
            g = [p.grad for p in params]
            if group["maximize"]:
                g = torch._foreach_neg(g)
            _update(params, g, [self.state[p] for p in params], group)
        return loss

    def _batches(self, group):
        """Return the parameters with gradients, in lists of bounded size."""
        _refuse(group, self.defaults)
        batches, latest = [], {}
        for i, p in enumerate(group["params"]):
            if p.grad is None:
                continue
            if p.is_complex() or p.grad.layout != torch.strided:
                name = group["param_names"][i] if "param_names" in group else i
                what = f"parameter {name} of shape {tuple(p.shape)}"
                raise RuntimeError(f"{what} needs a dense, real gradient")
            state = self.state[p]
            if not state:
                state["exp_avg"] = torch.zeros_like(p)
            key = (p.device, p.dtype, getattr(p, "device_mesh", None))
            key = i if group["foreach"] is False else key
            batch, size = latest.get(key, (None, 0))
            if batch is None or size + p.numel() > (2**18 if p.is_cpu else 2**23):
                batch, size = [], 0
                batches.append(batch)
            batch.append(p)
            latest[key] = batch, size + p.numel()
        return batches


def _update(params, g, states, group):
    """Move parameters; the states are advanced in place."""
    beta1, beta2 = group["betas"]
    exp_avg = [s["exp_avg"] for s in states]
    u = torch._foreach_mul(exp_avg, beta1)
    torch._foreach_add_(u, g, alpha=1 - beta1)
    torch._foreach_sign_(u)
    torch._foreach_mul_(exp_avg, beta2)
    torch._foreach_add_(exp_avg, g, alpha=1 - beta2)
    lr, weight_decay = group["lr"], group["weight_decay"]
    if isinstance(lr, Tensor) or torch.compiler.is_compiling():  # one graph for all
        lr = (torch.ones((), dtype=u[0].dtype) * lr).squeeze()
        u = torch._foreach_mul(u, lr)
    if weight_decay != 0:
        torch._foreach_mul_(params, 1 - lr * weight_decay)
    torch._foreach_add_(params, u, alpha=-1 if isinstance(lr, Tensor) else -lr)


def _refuse(keys, options):
    """Raise ValueError for a key that names an option which means nothing here."""
    known = {"betas", "momentum", "eps", "alpha", "nesterov"}
    for key in sorted((known - {*options}).intersection(keys)):
        raise ValueError(f"{key} means nothing here; options are {', '.join(options)}")


def _check(options, decays):
    """Raise ValueError for an option that is out of its range, or no number."""
    for name, low, high, count in (
        ("lr", 0.0, float("inf"), 1),
        ("betas", 0.0, 1.0, decays),
        ("weight_decay", 0.0, float("inf"), 1),
    ):
        value = options.get(name, low if count == 1 else (low,) * count)
        numbers = value if isinstance(value, tuple | list) else (value,)
        if isinstance(value, Tensor):  # whose value may not be there yet
            fits = name == "lr" and value.numel() == 1
        else:
            kind = "__float__" if isinstance(low, float) else "__index__"
            fits = len(numbers) == count and all(hasattr(x, kind) for x in numbers)
            fits = fits and all(low <= x < high for x in numbers)
        if not fits:
            raise ValueError(f"{name} needs {count} in [{low}, {high}), got {value!r}")
