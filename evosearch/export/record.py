"""Records of exported optimizers: a program, the values it was found with, and where it is from.

Each optimizer of the package `discovered` is a module and, beside it, its record in TOML. The
module is what `export` makes of the record, to the last byte: a test compares them, and

    python -m evosearch.export.record discovered

writes the modules of a folder anew.
"""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from evosearch.errors import DataError
from evosearch.export.torch_file import export
from evosearch.parse import parse_rules
from evosearch.program import RuleSet

__all__ = ["Record"]

_KEYS = {"program": str, "name": str, "provenance": str, "lr": float, "rest_lr": float}


@dataclass(frozen=True)
class Record:
    """What an exported file is made from."""

    rules: RuleSet
    name: str
    provenance: str
    lr: float
    rest_lr: float | None = None

    @classmethod
    def read(cls, path: Path) -> Record:
        """Read a record.

        Raises:
            DataError: a key is missing, unknown or of another type; or there is no such file.
        """
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise DataError(f"expected a record in TOML at {path}, but: {error}") from None
        for key, value in data.items():
            if not isinstance(value, _KEYS.get(key, ())):
                raise DataError(
                    f"{path}: `{key}` = {value!r}; expected the keys {', '.join(_KEYS)}, numbers "
                    "with a decimal point"
                )
        missing = _KEYS.keys() - {"rest_lr"} - data.keys()
        if missing:
            raise DataError(f"{path} lacks {', '.join(sorted(missing))}; add them")
        return cls(parse_rules(data.pop("program")), **data)

    def source(self) -> str:
        """Return the module's text."""
        return export(
            self.rules,
            name=self.name,
            lr=self.lr,
            rest_lr=self.rest_lr,
            provenance=self.provenance,
        )


def main(folders: list[str]) -> None:
    """Write the modules of all records in these folders."""
    for folder in folders:
        for path in sorted(Path(folder).glob("*.toml")):
            module = path.with_suffix(".py")
            module.write_text(Record.read(path).source(), encoding="utf-8")
            print(module)


if __name__ == "__main__":
    main(sys.argv[1:])
