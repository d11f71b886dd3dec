"""A character language model on source code: the smallest real task of its kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from proxy_tasks.data.corpus import VOCABULARY, corpus
from proxy_tasks.tasks.language_model import LanguageModel
from proxy_tasks.tasks.language_task import LanguageTask

__all__ = ["CharLM"]


@dataclass(frozen=True)
class CharLM(LanguageTask):
    """Predict the next character of Python source, or of a text of the user's."""

    family: ClassVar[str] = "char_lm"
    summary: ClassVar[str] = "transformer on Python source or your text; validation loss"
    metric: ClassVar[str] = "validation cross-entropy (nats per character)"

    path: str = ""
    """A text file; empty for the Python source that comes with the package."""
    megabytes: float = 2.0
    """How many million bytes of text to read at most; the last tenth is for validation."""

    @property
    def model(self) -> LanguageModel:
        """The transformer."""
        return LanguageModel(VOCABULARY, self.context, self.width, self.layers, self.heads)

    def symbols(self, device: torch.device) -> tuple[Tensor, int]:
        """Return the text and where its validation part begins.

        Raises:
            TaskDataError: The file is missing or too short.
        """
        return corpus(self.path, self.megabytes, device)
