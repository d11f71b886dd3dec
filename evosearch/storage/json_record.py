"""The JSON form of a frozen dataclass, read and written in one place: by its fields' types."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Self

__all__ = ["JsonRecord"]


class JsonRecord:
    """A record that crosses modules typed and files as JSON; its dataclass says what is in it.

    Keys that the dataclass does not know are passed over, so that what a newer version wrote, or
    an older one, is read; a field that older files lack has a default.
    """

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings, numbers and None."""
        return _adapter(type(self)).dump_python(self, mode="json")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned.

        Raises:
            pydantic.ValidationError: The data has another form; it is a ValueError.
        """
        return _adapter(cls).validate_python(data)


@cache
def _adapter(cls: type) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(cls)
