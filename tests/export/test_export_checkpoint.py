"""Save in the middle, load in a new process, go on: to the last bit the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from evolved_programs import evolved

from evosearch.export import export
from evosearch.library import known

SCRIPT = """
import importlib.util, sys, torch
torch.set_num_threads(1)
folder, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for name in sys.argv[4:]:
    spec = importlib.util.spec_from_file_location(name, f"{folder}/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(2, 4, 3), torch.nn.Flatten(), torch.nn.Linear(16, 3)
    model = torch.nn.Sequential(*layers)
    optimizer = getattr(module, module.__all__[0])(model.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
    if first:
        saved = torch.load(f"{folder}/{name}.{first}.pt", weights_only=True)
        for key, part in parts.items():
            part.load_state_dict(saved[key])
    data = torch.randn(20, 8, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    for step in range(first, last):
        optimizer.zero_grad()
        model(data[step]).square().mean().backward()
        optimizer.step()
        scheduler.step()
    torch.save({k: p.state_dict() for k, p in parts.items()}, f"{folder}/{name}.{first}-{last}.pt")
    torch.save({k: p.state_dict() for k, p in parts.items()}, f"{folder}/{name}.{last}.pt")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained through in one process, and in two that follow each other."""
    folder = tmp_path_factory.mktemp("checkpoints")
    programs = [*map(known, ("lion", "muon", "adamw", "signsgd")), *evolved()[:12]]
    for rules in programs:
        (folder / f"{rules.name}.py").write_text(export(rules), encoding="utf-8")
    names = [rules.name for rules in programs]
    for first, last in ((0, 20), (0, 9), (9, 20)):
        command = [sys.executable, "-c", SCRIPT, str(folder), str(first), str(last), *names]
        subprocess.run(command, check=True, cwd=folder)
    return folder


def _equal(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[k], other[k]) for k in one)
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    return one == other


@pytest.mark.parametrize(
    "name", ["lion", "muon", "adamw", "signsgd", *(rules.name for rules in evolved()[:12])]
)
def test_a_new_process_continues_exactly(folder: Path, name: str) -> None:
    through = torch.load(folder / f"{name}.0-20.pt", weights_only=True)
    resumed = torch.load(folder / f"{name}.9-20.pt", weights_only=True)
    for part in ("model", "optimizer"):
        assert _equal(through[part], resumed[part]), part
