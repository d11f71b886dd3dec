# SPDX-License-Identifier: 0BSD
"""Which parameters of a model are hidden matrices: by the modules they are in, not by their shapes.

A rule for hidden matrices, such as Muon's, is wrong for embeddings and for heads, and no shape
tells a head of 1,000 classes from a hidden layer, or stacked experts from a convolution's kernel.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

__all__ = ["parameter_groups", "split_parameters"]

_HEADS = {"head", "heads", "lm_head", "classifier", "score", "qa_outputs"}
"""What heads are called, wherever they are in the model."""
_LAST = {"fc", "output", "out", "logits"}
"""What they are called at the model's top, and layers within it, too."""


def parameter_groups(
    model: nn.Module, heads: nn.Module | Iterable[nn.Module] | None = None
) -> list[dict[str, Any]]:
    """Return a model's parameters as groups: matrices, stacks of matrices, and all others.

    Matrices are weights of linear layers, convolutions, attention and recurrent cells. Stacks are
    weights with more dimensions that no convolution has: experts, scanned layers; each is
    a batch of matrices. The others are embeddings, norms, biases, vectors in disguise (a side of
    1), tables that are no weight (positions, class tokens), the pieces of a weight that is
    computed from several (weight norm, LoRA), convolutions of images and depthwise ones, heads,
    and what is tied to any of these. Parameters that need no gradient are left out, empty groups
    too, and the names of parameters are kept:

        Muon(parameter_groups(model), lr=1e-3)
        Trainer(..., optimizer_cls_and_kwargs=(Muon, {"params": parameter_groups(model)}))

    Args:
        model: the model.
        heads: the modules that make the outputs; an empty list if there are none. By default,
            those that are called so, else the last layer if it is a linear one.
    """
    kinds: dict[nn.Parameter, int | None] = {}  # number of dimensions that count matrices
    heads = _heads(model) if heads is None else heads
    heads = [heads] if isinstance(heads, nn.Module) else heads
    outer = {module for head in heads for module in head.modules()}
    for path, module in model.named_modules(remove_duplicate=False):
        for name, p in module.named_parameters(recurse=False):
            stack = None if module in outer else _stack_of(module, path, name, p)
            kinds[p] = None if p in kinds and kinds[p] is None else stack
    named: dict[int | None, list[tuple[str, nn.Parameter]]] = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            named.setdefault(kinds[p], []).append((name, p))
    others = named.pop(None, [])
    groups: list[dict[str, Any]] = [
        {"params": params, "use_matrix_rule": True, "batch_dims": stack}
        for stack, params in named.items()
    ]
    return groups + ([{"params": others, "use_matrix_rule": False}] if others else [])


def split_parameters(
    model: nn.Module, head: nn.Module | Iterable[nn.Module] | None = None
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Split a model's parameters into (hidden matrices, all others), for two optimizers.

    They are those of `parameter_groups`, stacks among the matrices:

        hidden, others = split_parameters(model)
        Muon(hidden, lr=0.02, use_matrix_rule=True), torch.optim.AdamW(others, lr=3e-4)
    """
    groups = parameter_groups(model, head)
    found = {p for group in groups if group["use_matrix_rule"] for _, p in group["params"]}
    trained = [p for p in model.parameters() if p.requires_grad]
    return [p for p in trained if p in found], [p for p in trained if p not in found]


def _heads(model: nn.Module) -> list[nn.Module]:
    """Return the modules that are called heads, else the last layer if it is a linear one."""
    named = [m for path, m in model.named_modules() if path.rpartition(".")[2].lower() in _HEADS]
    named += [m for name, m in model.named_children() if name.lower() in _LAST]
    if named:
        return named
    last = model
    while isinstance(last, nn.Sequential) or last is model:
        children = list(last.children())
        if not children:
            return []
        last = children[-1]
    return [last] if isinstance(last, nn.Linear) else []


def _stack_of(module: nn.Module, path: str, name: str, p: nn.Parameter) -> int | None:
    """Return how many dimensions of a parameter count matrices; None if it is no matrix."""
    kind, parts = type(module).__name__, path.lower().split(".")
    if p.ndim < 2 or "bias" in name or "Norm" in kind or "Embedding" in kind:
        return None
    if parts[-2:-1] == ["parametrizations"] and name != "original":
        return None  # one of several that make a weight
    if any(part.startswith("lora_") for part in (*parts, name)) or name in ("weight_g", "weight_v"):
        return None
    if any("embed" in part for part in parts):
        return None
    convolution = isinstance(module, nn.modules.conv._ConvNd) or kind == "ParametrizationList"
    expert = any("expert" in part or "moe" in part for part in (*parts, kind.lower()))
    if "weight" not in name and name != "original" and not expert:
        return None
    stack = 0 if convolution or p.ndim == 2 else p.ndim - 2
    if isinstance(module, nn.modules.conv._ConvNd) and p.shape[1] < 5:
        return None  # an image's channels, or one: a filter for each channel
    rows, cols = p.shape[stack], p.shape[stack + 1 :].numel()
    return stack if min(rows, cols) > 1 else None
