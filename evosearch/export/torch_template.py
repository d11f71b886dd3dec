"""The text of an exported optimizer, with ``$names`` where the rule decides.

Kept apart from the code that fills it in, so that it can be read as what it becomes. A name that
has a line to itself is replaced by any number of lines, which take over its indentation.
"""

from __future__ import annotations

from typing import Final

__all__ = ["FILE", "FUNCTIONS", "METHODS"]

FILE: Final = '''\
# $licence
"""$title

$origin
"""

# pyright: reportPrivateImportUsage=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

__all__ = ["$name"]


class $name(Optimizer):
    $documentation

    def __init__(
        self,
        params: ParamsT,
        $signature
    ) -> None:
        defaults = {
            $defaults
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict) -> None:
        """Add parameters; what their group does not set is as for all others."""
        $checks

    def __setstate__(self, state: dict) -> None:
        """Restore a state; one of an older version may lack options."""
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("maximize", False)
            group.setdefault("foreach", None)
            group.setdefault("capturable", False)
            $restore

    @torch.no_grad()
    def step(self, closure=None):
        """Update all parameters that have a gradient; return what the closure returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for $names in self._batches(group):
                self._advance($names, group)
        return loss

    $methods


$functions
'''

METHODS: Final = {
    "_advance": '''\
def _advance(self, $names, group):
    """Update parameters in one call; what it computes is gone before the next."""
    g = [p.grad for p in params]
    if group["maximize"]:
        g = torch._foreach_neg(g)
    $apply
''',
    "_batches": '''\
def _batches(self, group):
    """Return the parameters with gradients, in lists of bounded size."""
    batches, last = [], {}
    for i, p in enumerate(group["params"]):
        if p.grad is None:
            continue
        if p.is_complex() or p.grad.layout != torch.strided:
            _refuse(group, i, "must be real and have a dense gradient")
        $kind
        state = self.state[p]
        $states
        $key
        batch, size = last.get(key, (None, 0))
        if batch is None or size + p.numel() > (2**18 if p.is_cpu else 2**23):
            batch, size = [], 0
            batches.append($batch)
        batch.append(p)
        last[key] = batch, size + p.numel()
    return batches
''',
    "_count": '''\
def _count(self, params, group):
    """Advance the step counters and return them, as numbers unless on a device."""
    t = [self.state[p]["step"] for p in params]
    torch._foreach_add_(t, 1)
    if group["capturable"] or torch.compiler.is_compiling():
        return t
    return [x.item() for x in t]
''',
}
"""Methods of the class; `_count` where there are counters."""

FUNCTIONS: Final = {
    "_check": '''\
def _check(name, value, low, high=float("inf"), count=1):
    """Raise ValueError unless a value is `count` numbers in [low, high)."""
    x = torch.as_tensor(value, dtype=torch.float64, device="cpu")
    if x.numel() != count or not ((low <= x) & (x < high)).all():
        numbers = "a number" if count == 1 else f"{count} numbers"
        raise ValueError(f"{name} must be {numbers} in [{low}, {high}), found {value}")
''',
    "_counter": '''\
def _counter(steps, p, group):
    """Return a counter of steps, on the CPU unless a CUDA graph has to advance it."""
    device = p.device if group["capturable"] else "cpu"
    return torch.as_tensor(steps, dtype=torch.float32, device=device)
''',
    "_refuse": '''\
def _refuse(group, i, why):
    """Raise ValueError about a parameter."""
    name = group["param_names"][i] if "param_names" in group else i
    shape = tuple(group["params"][i].shape)
    raise ValueError(f"parameter {name} of shape {shape} {why}")
''',
    "_is_matrix": '''\
def _is_matrix(group, i):
    """Whether the rule for matrices updates a parameter."""
    p, chosen = group["params"][i], group["use_matrix_rule"]
    if chosen and p.ndim < 2:
        _refuse(group, i, "must have two dimensions or more")
    return p.ndim >= 2 and p.shape[0] < 10_000 if chosen is None else chosen
''',
    "_matrix": '''\
def _matrix(x):
    """Return x as a matrix; a convolution's weight has a row for each output channel."""
    return x.flatten(1) if x.ndim > 1 else x.reshape(1, -1)
''',
    "_stack": '''\
def _stack(xs, dtype=None):
    """Stack matrices of one shape; what is sharded (FSDP) is gathered."""
    whole = [x.full_tensor() if hasattr(x, "full_tensor") else x for x in xs]
    stack = whole[0].new_empty(len(whole), *whole[0].shape, dtype=dtype)
    torch._foreach_copy_(stack.unbind(), whole)
    return stack
''',
    "_like": '''\
def _like(x, like):
    """Return x in the shape of another tensor, and sharded as that is."""
    x = x.reshape(like.shape)
    if not hasattr(like, "full_tensor") or hasattr(x, "full_tensor"):
        return x
    from torch.distributed.tensor import distribute_tensor

    mesh, placements = like.device_mesh, like.placements
    return distribute_tensor(x, mesh, placements, src_data_rank=None)
''',
    "_store": '''\
def _store(states, values):
    """Copy new values into the states."""
    for state, value in zip(states, values, strict=True):
        state.copy_(_like(value, state))
''',
    "_descend": '''\
def _descend(params, u, lr, weight_decay=0.0):
    """Subtract lr * (u + weight_decay * params) from the parameters."""
    if isinstance(lr, Tensor):  # multiplies where it is: nobody waits for its value
        lr = lr.reshape(())
        u = torch._foreach_mul(u, lr)
    if weight_decay != 0:
        torch._foreach_mul_(params, 1 - lr * weight_decay)
    torch._foreach_add_(params, u, alpha=-1 if isinstance(lr, Tensor) else -lr)
''',
    "_descend/": '''\
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
''',
}
"""Functions that follow the class, where they are called; the last one is for quotients."""
