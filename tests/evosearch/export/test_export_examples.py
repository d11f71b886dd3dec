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


def _run(*command: str, cwd: Path = ROOT) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment |= {"GLOO_SOCKET_IFNAME": "lo", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=cwd,
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


def _own_model(script: str, folder: Path) -> None:
    """Search on a script's task, export what was found and train with it in a plain loop."""
    file, optimizer, run = EXAMPLES / script, folder / "found.py", folder / "run"
    (name,) = re.findall(r'TASKS = {"(\w+)":', file.read_text(encoding="utf-8"))
    steps = f"tasks.{name}.steps=6"
    small = ("evaluation.rates=3", "evaluation.ratios=[1.0]", "evaluation.extensions=0")
    fewer = [x for key in (steps, "budget.evaluations=4", *small) for x in ("--set", key)]
    command = ("-m", "evosearch")
    _run(
        *command,
        "search",
        "--tasks",
        str(file),
        "--run",
        str(run),
        "--workers",
        "1",
        *fewer,
        cwd=folder,
    )
    _run(*command, "export", str(run), "-o", str(optimizer), "--name", "Found", cwd=folder)
    few = ("--seeds", "2", "--trials", "5", "--set", steps)
    contenders = ("adamw", f"{optimizer}:Found", "torch.optim:NAdam")
    _run(*command, "compare", *contenders, "--tasks", str(file), *few, cwd=folder)
    page = folder / "transfer" / "index.html"
    _run(*command, "transfer", str(run), "--task", str(file), *few, cwd=folder)
    assert page.read_text(encoding="utf-8").count("<path") > 3
    loop = _LOOP.format(file=str(file), optimizer=str(optimizer), name=name)
    first, last = map(float, _run("-c", loop, cwd=folder).split())
    assert last < first


_LOOP = """
from pathlib import Path
import torch
from evosearch.training.optimizer_class import OptimizerClass
from proxy_tasks.user_tasks import read_tasks
task = read_tasks(Path({file!r}))[{name!r}]
torch.manual_seed(0)
model = task.make()
optimizer = OptimizerClass({optimizer!r}, "Found").load()(model.named_parameters(), lr=1e-2)
losses = []
for index in task.draw(0)[0][:30]:
    batch = [part[index] for part in task.examples.parts]
    optimizer.zero_grad()
    loss = task.criterion(model(batch[0]), *batch[1:])
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
print(sum(losses[:5]), sum(losses[-5:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("script", ["task_vit.py", "task_resnet.py", "task_gpt2.py"])
def test_own_models(script: str, tmp_path: Path) -> None:
    if "gpt2" in script and importlib.util.find_spec("transformers") is None:
        pytest.skip("transformers is not installed: `make examples` does that")
    lines = (EXAMPLES / script).read_text(encoding="utf-8").splitlines()
    assert len(list(filter(None, lines))) < 30
    _run(str(EXAMPLES / "digits_as_cifar.py"), cwd=tmp_path)
    _own_model(script, tmp_path)
