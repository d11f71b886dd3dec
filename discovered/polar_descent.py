# SPDX-License-Identifier: 0BSD
# pyright: reportPrivateImportUsage=false, reportIncompatibleMethodOverride=false
"""PolarDescent, an optimizer for PyTorch.

Candidate 176 of 200, found from adamw with seed 1.
"""

import warnings

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

__all__ = ["PolarDescent"]

_MATRIX = ("lr", "momentum", "ns_dtype", "adjust_lr_fn", "weight_decay")
_OTHERS = ("lr", "weight_decay")
_BACKUP = ("backup_lr", "backup_wd")
_NAMES = {"betas", "momentum", "eps", "alpha", "nesterov", "matrix", "backup"}
_NAMES |= {*_MATRIX, *_OTHERS, *_BACKUP}
_DEFAULTS = {True: {"lr": 0.001}, False: {"lr": 0.1}}
_HEADS = {"head", "heads", "lm_head", "classifier", "score", "wte", "wpe", "pos"}
_UNNAMED = (
    "embeddings and heads cannot be told from hidden matrices by shape: "
    "pass model.named_parameters(), or groups with use_matrix_rule"
)
_NO_MATRIX = "no parameter is a hidden matrix: all get the rule for the others"


class PolarDescent(Optimizer):
    """PolarDescent: one rule for hidden matrices, one for the rest.

    A hidden matrix w with gradient g and state momentum_buffer, 0 at first, moves by

        momentum_buffer = (1 - momentum) * g + momentum * momentum_buffer
        u = polar_express(momentum_buffer)
        w = w - lr * (scale * u + weight_decay * w)

    Any other parameter w with gradient g moves by

        u = g
        w = w - lr * (u + weight_decay * w)

    A group has one rule, and its options are that rule's own: `lr` is the rate of its
    parameters, whichever rule moves them. A group with both kinds is split in two,
    where `backup_*` options are for the others; `backup_lr` is by default `lr` times
    100, `backup_wd` `weight_decay`. States have their parameter's dtype. The search did
    best with lr 0.15, and 1.3 for the others, in units of the formula, on models of a
    few thousand parameters; defaults are for ordinary ones.

    Args:
        params: parameters, named or not, or groups with options of their own.
        lr: learning rate, a number or a tensor of one element, >= 0; by default 0.001
            for matrices and 0.1 for the others.
        momentum: decay rate of the running average per step, in [0, 1).
        weight_decay: decoupled weight decay, per step and unit of lr, >= 0.
        ns_dtype: dtype of Newton-Schulz, such as torch.bfloat16; the parameter's by
            default.
        adjust_lr_fn: as in torch.optim.Muon: "match_rms_adamw" gives the updates the
            size of AdamW's, whose learning rates are then right; None or "original"
            leaves them as the formula has them.
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
        momentum: float = 0.00346,
        *,
        weight_decay: float = 0.0,
        ns_dtype: torch.dtype | None = None,
        adjust_lr_fn: str | None = "match_rms_adamw",
        backup_lr: float | Tensor | None = None,
        backup_wd: float | None = None,
        use_matrix_rule: bool | None = None,
        batch_dims: int | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
    ) -> None:
        matrix = {
            "momentum": momentum,
            "ns_dtype": ns_dtype,
            "adjust_lr_fn": adjust_lr_fn,
        }
        backup = {"lr": backup_lr, "weight_decay": backup_wd}
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
        _check(options)
        return options

    def __setstate__(self, state: dict) -> None:
        """Restore a state; options that an older version lacks are as by default."""
        for group in state["param_groups"]:  # which may be those of another optimizer
            expected = {"momentum_buffer"} if group.get("use_matrix_rule") else {"step"}
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
                state["momentum_buffer"] = p.new_zeros(p.shape)
            elif not state:
                device = p.device if group["capturable"] else "cpu"
                state["step"] = torch.zeros((), device=device)
            key = (p.device, p.dtype, getattr(p, "device_mesh", None))
            key = i if group["foreach"] is False else (*key, matrix and p.shape)
            batch, size = latest.get(key, (None, 0))
            if batch is None or size + p.numel() > (2**18 if p.is_cpu else 2**23):
                batch, size = [], 0
                batches.append(batch)
            batch.append(p)
            latest[key] = batch, size + p.numel()
        return batches


def _update_matrices(params, g, states, group):
    """Move parameters; the states are advanced in place."""
    momentum = group["momentum"]
    ns_dtype = group["ns_dtype"]
    g = [_matrix(x, group) for x in g]
    momentum_buffer = [_view(s["momentum_buffer"], group) for s in states]
    momentum_buffer_1 = torch._foreach_lerp(g, momentum_buffer, momentum)
    u = _polar_express(_stack(momentum_buffer_1, ns_dtype)).to(g[0].dtype)
    _store(momentum_buffer, momentum_buffer_1)
    u *= _scale(group, *u.shape[-2:])
    u = [_like(x, p) for x, p in zip(u, params, strict=True)]
    _descend(params, u, group)


def _update_others(params, g, states, group):
    """Move parameters; the states are advanced in place."""
    torch._foreach_add_([s["step"] for s in states], 1)  # a state to save
    _descend(params, g, group)


def _polar_express(x: Tensor) -> Tensor:
    """Approximate the orthogonal polar factor of x (..., m, n) in five minimax quintic steps."""
    coefficients = [
        (8.156554524902461, -22.48329292557795, 15.878769915207462),
        (4.042929935166739, -2.808917465908714, 0.5000178451051316),
        (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
        (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
        (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
    ]
    norm = torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True)
    return _quintic(x / (1.02 * norm + 1e-7), coefficients)


def _quintic(y: Tensor, coefficients: list[tuple[float, float, float]]) -> Tensor:
    """Move y's singular values s to a s + b s^3 + c s^5, for one (a, b, c) after another."""
    shape, tall = y.shape, y.shape[-2] > y.shape[-1]
    y = y.unsqueeze(0).flatten(0, -3)
    for a, b, c in coefficients:
        gram = torch.bmm(y.mT, y) if tall else torch.bmm(y, y.mT)  # of the shorter side
        poly = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factors = (y, poly) if tall else (poly, y)
        y = torch.baddbmm(y, *factors, beta=a)
    return y.reshape(shape)


def _refuse(keys, options):
    """Raise ValueError for a key that names an option which means nothing here."""
    for key in sorted((_NAMES - {*options}).intersection(keys)):
        raise ValueError(f"{key} means nothing here; options are {', '.join(options)}")


def _check(options):
    """Raise ValueError for an option that is out of its range, or no number."""
    for name, low, high, count in (
        ("lr", 0.0, float("inf"), 1),
        ("momentum", 0.0, 1.0, 1),
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
    if type(options.get("ns_dtype")) not in (torch.dtype, type(None)):
        raise ValueError(f"ns_dtype must be a dtype, found {options['ns_dtype']!r}")
    if options.get("adjust_lr_fn") not in (None, "original", "match_rms_adamw"):
        raise ValueError(f"unknown adjust_lr_fn {options['adjust_lr_fn']!r}")


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


def _view(state, group):
    """Return a state as `_matrix` does, or fail: what is written to a copy would be lost."""
    return state.view(_matrix(state, group).shape)


def _scale(group, rows, cols):
    """Return the factor of an orthogonalized update."""
    if group["adjust_lr_fn"] == "match_rms_adamw":
        return 0.2 * max(rows, cols) ** 0.5
    return 1.0


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

    return distribute_tensor(x, like.device_mesh, like.placements, src_data_rank=None)


def _store(states, values):
    """Copy new values into the states."""
    for state, value in zip(states, values, strict=True):
        state.copy_(_like(value, state))


def _descend(params, u, group):
    """Subtract lr * (u + weight_decay * params) from the parameters."""
    lr, weight_decay = group["lr"], group["weight_decay"]
    if isinstance(lr, Tensor) or torch.compiler.is_compiling():  # one graph for all
        lr = (torch.ones((), dtype=u[0].dtype) * lr).squeeze()
        u = torch._foreach_mul(u, lr)
    if weight_decay != 0:
        torch._foreach_mul_(params, 1 - lr * weight_decay)
    torch._foreach_add_(params, u, alpha=-1 if isinstance(lr, Tensor) else -lr)


def _share(options, exact):
    """Return the others' rate in a mixed group, in proportion to the default rates."""
    lr = options.get("lr")
    if lr is None or exact is not None:  # which counts
        return None
    if torch.is_tensor(lr):
        raise ValueError("beside an lr that is a tensor, say backup_lr as well")
    return 100 * lr
