"""A wheel holds all that is needed: its commands run where there is no checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_runs import SETTINGS

ROOT = Path(__file__).parents[1]
HOLDS = (
    "discovered/lion.json",
    "discovered/muon.py",
    "discovered/py.typed",
    "evosearch/config/presets/quickstart.toml",
    "evosearch/language/programs/lion.program",
    "evosearch/runs/page.css",
    "evosearch/studies/boards/digits_mlp.json",
    "primitives/reference.md",
    "proxy_tasks/data/python_stdlib.txt.xz",
)
"""Of each kind of file that is no module of the package, one."""
INTERNAL = """
optimizer = Muon(model.parameters(), lr=0.02, momentum=0.95,
                 backup_adamw_lr=3e-4, backup_adamw_betas=(0.90, 0.95), backup_adamw_wd=0.01)
"""
EXTERNAL = """
muon_params = [p for p in model.parameters() if p.ndim >= 2 and p.size(0) < 10000]
adamw_params = [p for p in model.parameters() if not (p.ndim >= 2 and p.size(0) < 10000)]
optimizer = [Muon(muon_params, lr=0.02, momentum=0.95),
             torch.optim.AdamW(adamw_params, lr=3e-4, betas=(0.90, 0.95), weight_decay=0.01)]
"""
"""How the README of Muon calls it, by itself and beside AdamW; the export page has `use_muon`."""
TRAINING = """
import torch
from torch import nn
from discovered.muon import Muon

torch.manual_seed(0)
x = torch.randn(256, 8)
y = (x @ torch.randn(8, 4)).argmax(1)
model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))
{snippet}
losses = []
for _ in range(100):
    loss = nn.functional.cross_entropy(model(x), y)
    losses.append(loss.item())
    model.zero_grad()
    loss.backward()
    for one in optimizer if isinstance(optimizer, list) else [optimizer]:
        one.step()
assert losses[-1] < 0.9 * losses[0], losses[::20]
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built of what is tracked, so that nothing comes from an earlier build."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, files.stdout.decode().split("\0")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    build = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder)
    subprocess.run([*build, source], check=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's packages; their dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("installed")
    command = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder)
    subprocess.run([*command, wheel], check=True)
    return folder


def test_it_holds_what_is_no_module(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (licence,) = (name for name in names if name.endswith("/licenses/LICENSE"))
        assert b"MIT" in archive.read(licence)[:200]
    assert not set(HOLDS) - set(names)
    tops = {name.partition("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"discovered", "evosearch", "primitives", "proxy_tasks"}
    tracked = {path.name for path in (ROOT / "discovered").glob("*.json")}
    assert {n.partition("/")[2] for n in names if n.startswith("discovered/")} >= tracked


@pytest.fixture
def python(installed: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs the interpreter in an empty folder, with the installed packages."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    return run


def recipes() -> list[str]:
    """Return the ways to make an optimizer: of the README of Muon, and of the export page."""
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert any("use_muon=True" in block for block in blocks)
    return [INTERNAL, EXTERNAL, *(block for block in blocks if "optimizer = " in block)]


@pytest.mark.parametrize("recipe", recipes())
def test_optimizers_train_as_they_are_called_elsewhere(
    recipe: str, python: Callable[..., str]
) -> None:
    python("-c", TRAINING.replace("{snippet}", recipe))


def test_its_commands_run_where_there_is_no_checkout(
    installed: Path, python: Callable[..., str], tmp_path: Path
) -> None:
    def evosearch(*words: str) -> str:
        return python("-m", "evosearch", *words)

    for package in ("evosearch", "primitives", "proxy_tasks", "discovered"):
        where = python("-c", f"import {package}; print({package}.__file__)")
        assert where.startswith(str(installed)), "the wheel, not the checkout"
    changes = [word for setting in SETTINGS for word in ("--set", setting)]
    evosearch("search", "--preset", "smoke", *changes, "--workers", "1", "--quiet", "--run", "run")
    assert "Program" in evosearch("show", "run")
    assert "Equations" in evosearch("show", "lion")
    evosearch("export", "run", "-o", "found.py")
    evosearch("report", "run", "-o", "page.html")
    assert "</html>" in (tmp_path / "page.html").read_text()
    assert "newton_schulz5" in evosearch("primitives", "--markdown")
    assert "digits_mlp" in evosearch("baselines")
    step = "p = torch.nn.Parameter(torch.ones(3, 2)); p.grad = p.detach().clone()"
    for module in ("found", "discovered.muon"):
        optimizer = "getattr(m, m.__all__[0])([('layer.weight', p)])"
        trains = f"{step}; {optimizer}.step(); assert (p != 1).any()"
        python("-c", f"import torch, {module} as m; {trains}")
