"""The licence of exported files: none of its conditions follows the file to where it is pasted."""

from __future__ import annotations

from typing import Final

__all__ = ["LICENCE", "SPDX"]

LICENCE: Final = "0BSD"

SPDX: Final = f"SPDX-License-Identifier: {LICENCE}"
"""The line that exported files carry in a comment at their top."""
