"""An optimizer as people have it: a class, or a function that makes one, named by where it is.

    torch.optim:AdamW                          a module and a name in it
    optimizer.py:ShortMuon                     a file and a name in it
    lion_pytorch:Lion(betas=(0.95, 0.98))      with keyword arguments, as literals

`evosearch.training.class_step` trains with it.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from evosearch.errors import UsageError

if TYPE_CHECKING:
    from torch.optim import Optimizer

__all__ = ["OptimizerClass"]

_FORM: Final = re.compile(r"(?P<place>.+?):(?P<name>[A-Za-z_][\w.]*)(?P<call>\(.*\))?", re.DOTALL)


@dataclass(frozen=True)
class OptimizerClass:
    """What makes an optimizer, and the keyword arguments it is called with."""

    place: str
    """A module, or a Python file."""
    name: str
    arguments: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        given = ", ".join(f"{key}={value!r}" for key, value in self.arguments)
        return f"{self.place}:{self.name}" + (f"({given})" if given else "")

    @staticmethod
    def is_text(text: str) -> bool:
        """Whether a text names a class rather than being, or naming, a program."""
        return not text.lstrip().startswith("def ") and _FORM.fullmatch(text.strip()) is not None

    @classmethod
    def parse(cls, text: str) -> OptimizerClass:
        """Read ``PLACE:NAME`` or ``PLACE:NAME(key=literal)``.

        Raises:
            UsageError: It has another form.
        """
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise UsageError(f"expected module:Class or file.py:Class, found `{text}`")
        try:
            call = ast.parse(f"f{match['call'] or '()'}", mode="eval").body
            assert isinstance(call, ast.Call)
            if call.args or any(keyword.arg is None for keyword in call.keywords):
                raise ValueError("arguments have names")
            given = tuple((str(k.arg), ast.literal_eval(k.value)) for k in call.keywords)
        except (SyntaxError, ValueError) as error:
            raise UsageError(
                f"expected keyword arguments with plain values, as in torch.optim:AdamW(betas=(0.9,"
                f" 0.99)), found `{text}`: {error}"
            ) from None
        return cls(match["place"], match["name"], given)

    @classmethod
    def of(cls, made: Callable[..., Any]) -> OptimizerClass:
        """Return a class or a function by where it is defined.

        Raises:
            UsageError: Other processes would not find it there.
        """
        module, name = made.__module__, made.__qualname__
        if module == "__main__" or "<" in name:
            raise UsageError(
                f"expected an optimizer that a module or a file defines, found {name} of "
                f"{module}: write it to a file, and give optimizer.py:{name.rpartition('.')[2]}"
            )
        return cls(module, name)

    def having(self, **arguments: Any) -> OptimizerClass:
        """Return it with some arguments replaced."""
        return OptimizerClass(
            self.place, self.name, tuple({**dict(self.arguments), **arguments}.items())
        )

    def checked(self) -> OptimizerClass:
        """Return it with a file's absolute path, if it can be loaded.

        Raises:
            UsageError: It cannot.
        """
        found = self
        if self.place.endswith(".py"):
            path = Path(self.place).expanduser().resolve()
            found = OptimizerClass(str(path), self.name, self.arguments)
        found.load()
        return found

    def load(self) -> Callable[..., Any]:
        """Return what makes the optimizer.

        Raises:
            UsageError: There is no such module, file or name, or it is not callable.
        """
        found: Any = _module(self.place)
        for part in self.name.split("."):
            found = getattr(found, part, None)
        if not callable(found):
            raise UsageError(
                f"expected a class or a function {self.name} in {self.place}, found "
                f"{'nothing' if found is None else repr(found)[:60]}"
            )
        return found

    def defaults(self) -> Mapping[str, Any]:
        """Return its arguments: those that are given, and defaults of the others that have one."""
        parameters = inspect.signature(self.load()).parameters.values()
        known = {p.name: p.default for p in parameters if p.default is not p.empty}
        return {**known, **dict(self.arguments)}

    def make(self, groups: Sequence[dict[str, Any]]) -> Optimizer:
        """Return an optimizer of groups of parameters.

        Raises:
            RuntimeError: It cannot be made.
        """
        try:
            return self.load()(list(groups), **dict(self.arguments))
        except Exception as error:
            raise RuntimeError(f"{self} raised {type(error).__name__}: {error}") from error


@lru_cache(maxsize=64)
def _module(place: str) -> Any:
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        path = Path(place).expanduser()
        if not path.is_file():
            raise UsageError(f"expected an optimizer's file at {path}, found none")
        spec = importlib.util.spec_from_file_location(f"optimizer_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except UsageError:
        raise
    except Exception as error:  # whatever somebody's module does when it is imported
        raise UsageError(
            f"expected a module or a file of an optimizer, found {place}, which raised "
            f"{type(error).__name__}: {error}"
        ) from error
    return module
