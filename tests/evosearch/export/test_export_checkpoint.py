"""Save in the middle, load in a new process, go on: to the last bit the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import checkpoint_training
import pytest
import torch
from evolved_programs import evolved

from evosearch.export import export
from evosearch.language.known import known

PROGRAMS = {
    rules.name: rules
    for rules in (*map(known, ("lion", "muon", "adamw", "signsgd")), *evolved()[:12])
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained through here, and half the way here and on in a new process."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for name, rules in PROGRAMS.items():
        (folder / f"{name}.py").write_text(export(rules), encoding="utf-8")
        for last in (20, 9):
            checkpoint_training.train(folder, name, 0, last)
    command = [sys.executable, checkpoint_training.__file__, str(folder), "9", "20", *PROGRAMS]
    subprocess.run(command, check=True, cwd=folder)
    return folder


def _equal(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[k], other[k]) for k in one)
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    return one == other


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_new_process_continues_exactly(folder: Path, name: str) -> None:
    through = torch.load(folder / f"{name}.0-20.pt", weights_only=True)
    resumed = torch.load(folder / f"{name}.9-20.pt", weights_only=True)
    for part in ("model", "optimizer"):
        assert _equal(through[part], resumed[part]), part
