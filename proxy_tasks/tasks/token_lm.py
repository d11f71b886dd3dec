"""A language model on tokens of the package's text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from proxy_tasks.data.tokens import tokens
from proxy_tasks.tasks.language_model import LanguageModel
from proxy_tasks.tasks.language_task import LanguageTask

__all__ = ["TokenLM"]


@dataclass(frozen=True)
class TokenLM(LanguageTask):
    """Predict the next token of Python source: words, where `char_lm` has characters.

    Most tokens are rare, so that most rows of the embedding seldom get a gradient.
    """

    family: ClassVar[str] = "token_lm"
    summary: ClassVar[str] = "transformer on tokens of Python source; validation loss"
    metric: ClassVar[str] = "validation cross-entropy (nats per token)"

    steps: int = 300
    vocabulary: int = 1024

    @property
    def model(self) -> LanguageModel:
        """The transformer."""
        return LanguageModel(self.vocabulary, self.context, self.width, self.layers, self.heads)

    def symbols(self, device: torch.device) -> tuple[Tensor, int]:
        """Return the tokens and where their validation part begins.

        Raises:
            TaskDataError: The vocabulary is smaller than the alphabet.
        """
        return tokens(self.vocabulary, device)
