"""Follow a search in TensorBoard; `pip install tensorboard` first.

    python examples/tensorboard_log.py
    tensorboard --logdir runs/tensorboard

What is to happen as results come in is a function of the sum of a run's records, given to
`evosearch.search` as `observe`; this one writes curves. Weights & Biases, or a message to a phone,
takes the same few lines.
"""

from __future__ import annotations

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

import evosearch
from evosearch.runs.history import History


class TensorBoard:
    """Writes a search's curves, over the candidates evaluated.

    Args:
        directory: Where to.
    """

    def __init__(self, directory: str | Path) -> None:
        self._writer = SummaryWriter(str(directory))
        self._seen = -1

    def on_result(self, history: History) -> None:
        """Take in the sum of a run's records after a new one."""
        count = len(history.candidates)
        best = history.best()
        if count == self._seen or best is None:
            return
        self._seen = count
        self._writer.add_scalar("score/best", best.score, count)
        self._writer.add_scalar("size/best", best.statements, count)
        self._writer.add_scalar("search/re-evaluated", history.confirmations, count)
        if history.hit_rate is not None:
            self._writer.add_scalar("search/cache hits", history.hit_rate, count)
        if history.worker_seconds:
            rate = 3600 * count / history.worker_seconds
            self._writer.add_scalar("search/candidates per worker hour", rate, count)
        self._writer.flush()


def main() -> None:
    log = TensorBoard("runs/tensorboard")
    config = evosearch.preset("smoke", ["budget.evaluations=16"])
    evosearch.search(config, workers=1, observe=log.on_result)


if __name__ == "__main__":
    main()
