"""Programs by their text, kept while they are likely to be asked for again."""

from __future__ import annotations

from typing import Final

from evosearch.language.parse import parse_rules
from evosearch.language.rule import RuleSet

__all__ = ["Parsed", "parsed"]


class Parsed:
    """Reads program text, and remembers what was read or asked for last."""

    def __init__(self, most: int) -> None:
        """Remember so many programs at most."""
        self._most = most
        self._kept: dict[str, RuleSet] = {}

    def __call__(self, text: str) -> RuleSet:
        """Return the program in a text.

        Raises:
            ProgramError: The text is not a program.
        """
        rules = self._kept.get(text) or parse_rules(text)
        self.keep(text, rules)
        return rules

    def keep(self, text: str, rules: RuleSet) -> None:
        """Remember a program whose text was just written, so that nobody need read it."""
        self._kept.pop(text, None)  # the newest come last
        self._kept[text] = rules
        if len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]


parsed: Final = Parsed(4096)
"""What a search breeds from: parents are few, and each child was a program before it was text."""
