"""Sources of the op table's kernels, as an exported file carries them."""

from __future__ import annotations

import inspect
import re

from evosearch.export.part import WIDTH
from primitives import kernels

__all__ = ["source_of", "with_called"]


def with_called(names: set[str]) -> list[str]:
    """Return kernels and those that they call, by name."""
    wanted, todo = set[str](), set(names)
    while todo:
        wanted |= todo
        called = {word for name in todo for word in getattr(kernels, name).__code__.co_names}
        todo = called & set(kernels.__all__) - wanted
    return sorted(wanted)


def source_of(name: str) -> str:
    """Return the source of a kernel, without what it is documented with beyond the first line."""
    source = inspect.getsource(getattr(kernels, name)).replace("torch.Tensor", "Tensor")
    source = re.sub(r'"""(.+)\n\n(?:.*\n)*?    """\n', r'"""\1"""\n', source, count=1)
    fitting = [x for x in source.split("\n") if len(x) <= WIDTH or x.lstrip()[:1] != "#"]
    return "\n".join(x.partition("  # ")[0] if len(x) > WIDTH else x for x in fitting)
