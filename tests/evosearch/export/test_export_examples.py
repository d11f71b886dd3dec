"""The training scripts in `examples/` run, and train."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from evosearch.export import export
from evosearch.language.known import known

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"


def _run(*command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment |= {"GLOO_SOCKET_IFNAME": "lo", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _falls(output: str) -> bool:
    first, last = map(float, re.findall(r"(\d+\.\d+) in the (?:first|last)", output))
    return last < 0.8 * first


def test_plain_loop(tmp_path: Path) -> None:
    file = tmp_path / "muon.py"
    file.write_text(export(known("muon")), encoding="utf-8")
    output = _run(str(EXAMPLES / "train_digits.py"), str(file), "--lr", "0.02", "--epochs", "8")
    accuracies = [float(x) for x in re.findall(r"accuracy (\d+\.\d)%", output)]
    assert len(accuracies) == 2
    assert min(accuracies) > 90


@pytest.mark.slow
def test_two_processes() -> None:
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    output = _run(*launch, str(EXAMPLES / "train_ddp.py"))
    assert "equal weights: True" in output
    assert _falls(output)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "packages"),
    [
        ("train_huggingface.py", ("transformers", "accelerate")),
        ("train_lightning.py", ("lightning",)),
    ],
)
def test_frameworks(script: str, packages: tuple[str, ...]) -> None:
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: `make examples` does that")
    assert _falls(_run(str(EXAMPLES / script)))
