"""The text of an exported optimizer, with ``$names`` where the rule decides.

Kept apart from the code that fills it in, so that it can be read as what it becomes. A name that
has a line to itself is replaced by any number of lines, which take over its indentation.
"""

from __future__ import annotations

from typing import Final

__all__ = ["DESCENT", "FILE", "FUNCTIONS", "ONE_RULE", "TWO_RULES"]

FILE: Final = '''\
# $licence
# pyright: reportPrivateImportUsage=false, reportIncompatibleMethodOverride=false
"""$title

$origin
"""

$imports
import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

__all__ = ["$name"]
$tables


class $name(Optimizer):
    $documentation

    def __init__(
        self,
        params: ParamsT,
        $signature
    ) -> None:
        $defaults

    $methods

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
            $update
        return loss

    def _batches(self, group):
        """Return the parameters with gradients, in lists of bounded size."""
        $refuse
        batches, latest = [], {}
        for i, p in enumerate(group["params"]):
            if p.grad is None:
                continue
            if p.is_complex() or p.grad.layout != torch.strided:
                $dense
            state = self.state[p]
            $states
            key = (p.device, p.dtype, getattr(p, "device_mesh", None))
            key = i if group["foreach"] is False else $key
            batch, size = latest.get(key, (None, 0))
            if batch is None or size + p.numel() > (2**18 if p.is_cpu else 2**23):
                batch, size = [], 0
                batches.append(batch)
            batch.append(p)
            latest[key] = batch, size + p.numel()
        return batches


$functions
'''

ONE_RULE: Final = '''\
def add_param_group(self, param_group: dict) -> None:
    """Add parameters; what their group does not say is as for all others."""
    _refuse(param_group, self.defaults)
    _check({**self.defaults, **param_group}$number)
    super().add_param_group(param_group)

def __setstate__(self, state: dict) -> None:
    """Restore a state; options that an older version lacks are as by default."""
    for group in state["param_groups"]:  # which may be those of another optimizer
        $expected
        for found in (state["state"].get(p) for p in group["params"]):
            if found and {*found} != expected:
                what = f"states {sorted(expected)}, found {sorted(found)}"
                raise ValueError(f"expected {what}: another optimizer's?")
    super().__setstate__(state)
    for group in self.param_groups:
        for name in self.defaults.keys() - {"differentiable"}:  # which torch adds
            group.setdefault(name, self.defaults[name])
    $counters
'''
"""Methods that groups of parameters pass through, where there is one rule."""

TWO_RULES: Final = '''\
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
            $share
        places = [backup, said, own, general]
    $last
    options = {}
    for name in rule:
        found = (x[name] for x in places if x.get(name) is not None)
        options[name] = next(found, None)
    _check(options$number)
    return options

def __setstate__(self, state: dict) -> None:
    """Restore a state; options that an older version lacks are as by default."""
    for group in state["param_groups"]:  # which may be those of another optimizer
        $expected
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
    $counters
'''
"""The same where there are two."""

FUNCTIONS: Final = {
    "_refuse": '''\
def _refuse(keys, options):
    """Raise ValueError for a key that names an option which means nothing here."""
    $known
    for key in sorted(($names - {*options}).intersection(keys)):
        raise ValueError(f"{key} means nothing here; options are {', '.join(options)}")
''',
    "_check": '''\
def _check(options$decays):
    """Raise ValueError for an option that is out of its range, or no number."""
    for name, low, high, count in (
        $ranges
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
    $choices
''',
    "_name": '''\
def _name(group, i):
    """Return what messages call a parameter."""
    name = group["param_names"][i] if "param_names" in group else i
    return f"parameter {name} of shape {tuple(group['params'][i].shape)}"
''',
    "_is_matrix": '''\
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
''',
    "_matrix": '''\
def _matrix(x, group):
    """Return x as a matrix with a row for each output, or as a stack of matrices."""
    stack = group["batch_dims"]
    if stack is None:  # the kernel of a convolution in one dimension is not so long
        stack = int(x.ndim == 3 and x.shape[2] >= 16)
    return x.flatten(stack + 1) if x.ndim > 1 else x.reshape(1, -1)
''',
    "_matrix/": '''\
def _matrix(x, _group):
    """Return x as a matrix; a convolution's weight has a row for each output channel."""
    return x.flatten(1) if x.ndim > 1 else x.reshape(1, -1)
''',
    "_view": '''\
def _view(state, group):
    """Return a state as `_matrix` does, or fail: what is written to a copy would be lost."""
    return state.view(_matrix(state, group).shape)
''',
    "_scale": '''\
def _scale(group, rows, cols):
    """Return the factor of an orthogonalized update."""
    if group["adjust_lr_fn"] == "match_rms_adamw":
        return 0.2 * max(rows, cols) ** 0.5
    return $scale
''',
    "_keep": '''\
def _keep(params, sizes, size, group):
    """Give the parameters back the sizes that they had."""
    for p, before in zip(params, sizes, strict=True):
        x = _kept(_whole(p, group), before, size(p, group))
        p.copy_(_like(x, p))
''',
    "_whole": '''\
def _whole(p, group):
    """Return a parameter as a matrix; what is sharded (FSDP) is gathered."""
    return _matrix(p.full_tensor() if hasattr(p, "full_tensor") else p, group)
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

    return distribute_tensor(x, like.device_mesh, like.placements, src_data_rank=None)
''',
    "_store": '''\
def _store(states, values):
    """Copy new values into the states."""
    for state, value in zip(states, values, strict=True):
        state.copy_(_like(value, state))
''',
    "_descend": '''\
def _descend(params, u, group$divisor):
    """Subtract lr * ($moved + weight_decay * params) from the parameters."""
    $descent
''',
}
"""Functions that follow the class, where they are called; ``/`` marks those for a single rule."""

DESCENT: Final = """\
lr, weight_decay = group["lr"], group["weight_decay"]
if isinstance(lr, Tensor) or torch.compiler.is_compiling():  # one graph for all
    lr = (torch.ones((), dtype=$u[0].dtype) * lr).squeeze()
    $u = torch._foreach_mul($u, lr)
if weight_decay != 0:
    torch._foreach_mul_(params, 1 - lr * weight_decay)
"""
"""How an update ``u`` is taken from the parameters, but for the last call."""
