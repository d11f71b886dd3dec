"""Training that may stop and go on: what `test_export_checkpoint` runs, here or in a new process.

python checkpoint_training.py FOLDER FIRST LAST NAME...
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import torch

__all__ = ["train"]


def train(folder: Path, name: str, first: int, last: int) -> None:
    """Train with the optimizer FOLDER/NAME.py from one step to another.

    The start is the checkpoint of the first step, if that is not 0; at the end one is written.
    """
    module = runpy.run_path(str(folder / f"{name}.py"))
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(2, 4, 3), torch.nn.Flatten(), torch.nn.Linear(16, 3)
    model = torch.nn.Sequential(*layers)
    optimizer = module[module["__all__"][0]](model.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
    if first:
        saved = torch.load(folder / f"{name}.0-{first}.pt", weights_only=True)
        for key, part in parts.items():
            part.load_state_dict(saved[key])
    data = torch.randn(20, 8, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    for step in range(first, last):
        optimizer.zero_grad()
        model(data[step]).square().mean().backward()
        optimizer.step()
        scheduler.step()
    states = {key: part.state_dict() for key, part in parts.items()}
    torch.save(states, folder / f"{name}.{first}-{last}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for argument in sys.argv[4:]:
        train(Path(sys.argv[1]), argument, int(sys.argv[2]), int(sys.argv[3]))
