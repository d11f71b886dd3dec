# SPDX-License-Identifier: 0BSD
# pyright: reportPrivateImportUsage=false, reportIncompatibleMethodOverride=false
"""RmspropRestAdamw, an optimizer for PyTorch.

Candidate 180 of 200, found from adamw with seed 2.
"""

import warnings

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

__all__ = ["RmspropRestAdamw"]

_MATRIX = ("lr", "alphas", "eps", "weight_decay")
_OTHERS = ("lr", "betas", "eps", "weight_decay")
_BACKUP = (
    "backup_adamw_lr",
    "backup_adamw_betas",
    "backup_adamw_eps",
    "backup_adamw_wd",
)
_NAMES = {"betas", "momentum", "eps", "alpha", "nesterov", "matrix", "backup"}
_NAMES |= {*_MATRIX, *_OTHERS, *_BACKUP}
_DEFAULTS = {
    True: {"lr": 0.005, "weight_decay": 0.00716},
    False: {"lr": 0.001, "weight_decay": 0.01},
}
_HEADS = {"head", "heads", "lm_head", "classifier", "score", "wte", "wpe", "pos"}
_UNNAMED = (
    "embeddings and heads cannot be told from hidden matrices by shape: "
    "pass model.named_parameters(), or groups with use_matrix_rule"
)
_NO_MATRIX = "no parameter is a hidden matrix: all get the rule for the others"


class RmspropRestAdamw(Optimizer):
    """RmspropRestAdamw: one rule for hidden matrices, one for the rest.

    A hidden matrix w with gradient g and state v, 0 at first, moves by

        v = alpha1 * v + g**2
        u = g / (sqrt(v / (1 - alpha2**t)) + eps)
        w = w - lr * (u + weight_decay * w)

    Any other parameter w with gradient g and states exp_avg, exp_avg_sq, 0 at first, moves by

        exp_avg = beta1 * exp_avg + (1 - beta1) * g
        exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
        u = exp_avg / (1 - beta1**t) / (sqrt(exp_avg_sq / (1 - beta2**t)) + eps)
        w = w - lr * (u + weight_decay * w)

    A group has one rule, and its options are that rule's own: `lr` is the rate of its
    parameters, whichever rule moves them. A group with both kinds is split in two,
    where `backup_adamw_*` options are for the others; `backup_adamw_lr` is by default
    `lr` times 0.2, `backup_adamw_wd` `weight_decay`. States have their parameter's
    dtype. The search did best with lr 0.56, and 0.05 for the others, in units of the
    formula, on models of a few thousand parameters; defaults are for ordinary ones.

    Args:
        params: parameters, named or not, or groups with options of their own.
        lr: learning rate, a number or a tensor of one element, >= 0; by default 0.005
            for matrices and 0.001 for the others.
        alphas: decay rates of the running averages per step, in [0, 1).
        eps: added to a divisor, so that it is not 0, >= 0.
        weight_decay: decoupled weight decay, per step and unit of lr, >= 0; by default
            0.00716 for matrices and 0.01 for the others.
        use_matrix_rule: whether a group's parameters are hidden matrices. By default
            names and shapes decide: vectors, tables of 10,000 rows, what is called an
            embedding or a head, and convolutions of images are none.
        batch_dims: how many leading dimensions count matrices, as of stacked experts;
            by default 1 for three dimensions of which the last is 16 or more, else 0.
        maximize, foreach, capturable: as in torch.optim.AdamW; foreach by default.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor | None = None,
        alphas: tuple[float, float] = (0.897, 0.999),
        eps: float = 1e-08,
        *,
        weight_decay: float | None = None,
        backup_adamw_lr: float | Tensor | None = None,
        backup_adamw_betas: tuple[float, float] = (0.9, 0.999),
        backup_adamw_eps: float = 1e-08,
        backup_adamw_wd: float | None = None,
        use_matrix_rule: bool | None = None,
        batch_dims: int | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
    ) -> None:
        matrix = {"alphas": alphas, "eps": eps}
        backup = {
            "lr": backup_adamw_lr,
            "betas": backup_adamw_betas,
            "eps": backup_adamw_eps,
            "weight_decay": backup_adamw_wd,
        }
        options = {
            "lr": lr,
            "weight_decay": weight_decay,
            "matrix": matrix,
            "backup": backup,
        }
        routes = {"use_matrix_rule": use_matrix_rule, "batch_dims": batch_dims}
        flags = {"maximize": maximize, "foreach": foreach, "capturable": capturable}
        super().__init__(params, {**options, **routes, **flags})
        found = any(group["use_matrix_rule"] for group in self.param_groups)
        if use_matrix_rule is None and not found:
            warnings.warn(_NO_MATRIX, stacklevel=2)

    def add_param_group(self, param_group: dict) -> None:
        """Add parameters; a group with matrices and others becomes two, matrices first."""
        said = {**param_group}
        if "use_muon" in said:
            said["use_matrix_rule"] = said.pop("use_muon")
        super().add_param_group({**said})
        group = self.param_groups.pop()
        kinds = [_is_matrix(group, i) for i in range(len(group["params"]))]
        chosen, named = group["use_matrix_rule"], "param_names" in group
        if chosen is None and any(kinds) and not named:
            warnings.warn(_UNNAMED, stacklevel=4)
        present = sorted({*kinds} or {bool(chosen)}, reverse=True)
        allowed = {*(_MATRIX if present[0] else _OTHERS)}
        _refuse(said, allowed if present[-1] else allowed | {*_BACKUP})
        for kind in present:
            part = {k: v for k, v in group.items() if k not in _NAMES}
            part |= self._options(said, kind, len(present) == 2)
            mine = [i for i, matrix in enumerate(kinds) if matrix == kind]
            part["params"] = [group["params"][i] for i in mine]
            if named:
                part["param_names"] = [group["param_names"][i] for i in mine]
            self.param_groups.append({**part, "use_matrix_rule": kind})

    def _options(self, said, matrix, mixed):
        """Return the options of a rule: what the group says, else the constructor."""
        rule, own = _MATRIX, self.defaults["matrix"]
        places = [said, own, self.defaults]
        if not matrix:
            rule, own = _OTHERS, self.defaults["backup"]
            backup = {k: said.get(x) for k, x in zip(_OTHERS, _BACKUP, strict=True)}
            general = self.defaults
            if mixed:  # where other keys are those of the matrices
                lr, decay = _share(said, backup["lr"]), said.get("weight_decay")
                said = {"lr": lr, "weight_decay": decay}
                general = {**general, "lr": _share(general, own["lr"])}
            places = [backup, said, own, general]
        places.append(_DEFAULTS[matrix])
        options = {}
        for name in rule:
            found = (x[name] for x in places if x.get(name) is not None)
            options[name] = next(found, None)
        _check(options, 2)
        return options

    def __setstate__(self, state: dict) -> None:
        """Restore a state; options that an older version lacks are as by default."""
        for group in state["param_groups"]:  # which may be those of another optimizer
            expected = {"step", "exp_avg", "exp_avg_sq"}
            if group.get("use_matrix_rule"):
                expected = {"step", "v"}
            for found in (state["state"].get(p) for p in group["params"]):
                if found and {*found} != expected:
                    what = f"states {sorted(expected)}, found {sorted(found)}"
                    raise ValueError(f"expected {what}: another optimizer's?")
        super().__setstate__(state)
        for group in self.param_groups:
            matrix = group.setdefault("use_matrix_rule", False)
            for name, value in self._options({}, matrix, False).items():
                group.setdefault(name, value)
            for name in ("batch_dims", "maximize", "foreach", "capturable"):
                group.setdefault(name, self.defaults[name])
        for values in self.state.values():
            if "step" in values:  # which was a number once
                values["step"] = torch.as_tensor(values["step"], dtype=torch.float32)

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
            update = _update_matrices if group["use_matrix_rule"] else _update_others
            update(params, g, [self.state[p] for p in params], group)
        return loss

    def _batches(self, group):
        """Return the parameters with gradients, in lists of bounded size."""
        matrix = group["use_matrix_rule"]
        _refuse(group, _MATRIX if matrix else _OTHERS)
        batches, latest = [], {}
        for i, p in enumerate(group["params"]):
            if p.grad is None:
                continue
            if p.is_complex() or p.grad.layout != torch.strided:
                raise RuntimeError(f"{_name(group, i)} needs a dense, real gradient")
            state = self.state[p]
            if not state and matrix:
                device = p.device if group["capturable"] else "cpu"
                state["step"] = torch.zeros((), device=device)
                state["v"] = torch.zeros_like(p)
            elif not state:
                device = p.device if group["capturable"] else "cpu"
                state["step"] = torch.zeros((), device=device)
                state["exp_avg"] = torch.zeros_like(p)
                state["exp_avg_sq"] = torch.zeros_like(p)
            key = (p.device, p.dtype, getattr(p, "device_mesh", None))
            key = i if group["foreach"] is False else key
            batch, size = latest.get(key, (None, 0))
            if batch is None or size + p.numel() > (2**18 if p.is_cpu else 2**23):
                batch, size = [], 0
                batches.append(batch)
            batch.append(p)
            latest[key] = batch, size + p.numel()
        return batches


def _update_matrices(params, g, states, group):
    """Move parameters; the states are advanced in place."""
    alpha1, alpha2 = group["alphas"]
    eps = group["eps"]
    v = [s["v"] for s in states]
    t = [s["step"] for s in states]
    torch._foreach_add_(t, 1)
    if not group["capturable"] and not torch.compiler.is_compiling():
        t = [x.item() for x in t]
    g2 = torch._foreach_mul(g, g)
    torch._foreach_mul_(v, alpha1)
    torch._foreach_add_(v, g2)
    d = torch._foreach_div(v, [1 - alpha2**x for x in t])
    torch._foreach_sqrt_(d)
    torch._foreach_add_(d, eps)
    _descend(params, g, group, d)


def _update_others(params, g, states, group):
    """Move parameters; the states are advanced in place."""
    beta1, beta2 = group["betas"]
    eps = group["eps"]
    exp_avg = [s["exp_avg"] for s in states]
    exp_avg_sq = [s["exp_avg_sq"] for s in states]
    t = [s["step"] for s in states]
    torch._foreach_add_(t, 1)
    if not group["capturable"] and not torch.compiler.is_compiling():
        t = [x.item() for x in t]
    torch._foreach_lerp_(exp_avg, g, 1 - beta1)
    torch._foreach_mul_(exp_avg_sq, beta2)
    torch._foreach_addcmul_(exp_avg_sq, g, g, value=1 - beta2)
    d = torch._foreach_div(exp_avg_sq, [1 - beta2**x for x in t])
    torch._foreach_sqrt_(d)
    torch._foreach_add_(d, eps)
    torch._foreach_mul_(d, [1 - beta1**x for x in t])
    _descend(params, exp_avg, group, d)


def _refuse(keys, options):
    """Raise ValueError for a key that names an option which means nothing here."""
    for key in sorted((_NAMES - {*options}).intersection(keys)):
        raise ValueError(f"{key} means nothing here; options are {', '.join(options)}")


def _check(options, decays):
    """Raise ValueError for an option that is out of its range, or no number."""
    for name, low, high, count in (
        ("lr", 0.0, float("inf"), 1),
        ("alphas", 0.0, 1.0, decays),
        ("eps", 0.0, float("inf"), 1),
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


def _name(group, i):
    """Return what messages call a parameter."""
    name = group["param_names"][i] if "param_names" in group else i
    return f"parameter {name} of shape {tuple(group['params'][i].shape)}"


def _is_matrix(group, i):
    """Whether the rule for matrices moves a parameter: as said, else by name and shape."""
    p, chosen = group["params"][i], group["use_matrix_rule"]
    if chosen and p.ndim < 2:
        raise ValueError(f"{_name(group, i)} is no matrix: it needs two dimensions")
    if chosen is not None or p.ndim < 2:
        return bool(chosen)
    names = group["param_names"][i].lower().split(".") if "param_names" in group else ()
    table = any(name in _HEADS or "embed" in name for name in names)
    image = p.ndim > 3 and p.shape[1] < 5  # or a depthwise convolution
    rows, cols = _matrix(p, group).shape[-2:]
    return rows < 10_000 and min(rows, cols) > 1 and not image and not table


def _matrix(x, group):
    """Return x as a matrix with a row for each output, or as a stack of matrices."""
    stack = group["batch_dims"]
    if stack is None:  # the kernel of a convolution in one dimension is not so long
        stack = int(x.ndim == 3 and x.shape[2] >= 16)
    return x.flatten(stack + 1) if x.ndim > 1 else x.reshape(1, -1)


def _descend(params, u, group, d):
    """Subtract lr * (u / d + weight_decay * params) from the parameters."""
    lr, weight_decay = group["lr"], group["weight_decay"]
    if isinstance(lr, Tensor) or torch.compiler.is_compiling():  # one graph for all
        lr = (torch.ones((), dtype=u[0].dtype) * lr).squeeze()
        u = torch._foreach_mul(u, lr)
    if weight_decay != 0:
        torch._foreach_mul_(params, 1 - lr * weight_decay)
    rate = -1 if isinstance(lr, Tensor) else -lr
    torch._foreach_addcdiv_(params, u, d, value=rate)


def _share(options, exact):
    """Return the others' rate in a mixed group, in proportion to the default rates."""
    lr = options.get("lr")
    if lr is None or exact is not None:  # which counts
        return None
    if torch.is_tensor(lr):
        raise ValueError("beside an lr that is a tensor, say backup_adamw_lr as well")
    return 0.2 * lr
