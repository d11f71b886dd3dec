"""Every command and every Python block of README, docs, `--help` and examples, run for real.

`LISTED` is the one table: each command as it is documented, with what makes it small, or why it is
not run. A command that is documented and not listed fails, and so does one listed and not
documented. Commands run in a folder of their own, which has what the text before them speaks of: a
quick start of 48 candidates, the guide's program, its text.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from _pytest.mark import ParameterSet
from typer.testing import CliRunner
from workers_here import compute_here

from evosearch.cli.main import app, main
from evosearch.runs.run import Run

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))
CANDIDATES = 48
"""Of the small quick start; a documented number of a candidate lies below it."""


@dataclass(frozen=True)
class NotRun:
    """Why a command is not run."""

    reason: str


@dataclass(frozen=True)
class Slow:
    """What makes a command small, where it takes seconds all the same."""

    more: str


CLUSTER = NotRun("needs a cluster")
MINUTES = NotRun("hours or many minutes, whatever is set; its parts have tests")
SHELL = NotRun("installs, or changes the shell")
PLACEHOLDER = NotRun("has a placeholder in it")

STEPS = " ".join(
    f"--set tasks.{name}.steps={steps}" for name, steps in (("digits_mlp", 8), ("char_lm", 3))
)
"""Short training on the quick start's tasks."""
DIGITS = "--set tasks.digits_mlp.steps=8"
ONE_ADAMW = "--set baseline.betas=[[0.9,0.99]] --set baseline.weight_decay=[0.0]"
GRID = "--set evaluation.rates=3 --set evaluation.ratios=[1.0] --set evaluation.extensions=1"
FAST = f"{GRID} {ONE_ADAMW}"
SEARCH = f"--workers 1 --quiet {FAST} --set evaluation.seeds=1 --set elites.final=1"
FEW = f"{SEARCH} --set budget.evaluations=6"
TINY_SCALE = (
    "--search smoke --trials 5 --seeds 2 --set "
    '\'tasks={"char_lm_scale":{"steps":3,"batch":2,"width":8,"heads":1,"layers":1,"context":8,'
    '"windows":4,"megabytes":0.2}}\''
)
REDISCOVER = "--seeds 1 --budget 16 --workers 1 --no-controls"

OWN = "--seeds 2 --trials 5 --set tasks.my_task.steps=5"

LISTED: dict[str, str | Slow | NotRun] = {
    # Installing, and the shell.
    "git clone https://github.com/evosearch/evosearch && cd evosearch": SHELL,
    "make search": SHELL,
    "make install": SHELL,
    "make docs": SHELL,
    "make examples": SHELL,
    "source .venv/bin/activate": SHELL,
    "python3 -m venv .venv && .venv/bin/pip install torch==2.13.0 "
    "--index-url https://download.pytorch.org/whl/cpu": SHELL,
    # Clusters.
    "ray start --head --port 6379": CLUSTER,
    "ray start --address HEAD:6379": CLUSTER,
    "evosearch doctor --address HEAD:6379": CLUSTER,
    "evosearch doctor --address 10.0.0.5:6379": CLUSTER,
    "ray job submit --address http://HEAD:8265 -- evosearch search --preset discover "
    "--address HEAD:6379 --run /shared/runs/discover": CLUSTER,
    "sbatch deploy/slurm.sh --preset discover --run runs/discover": CLUSTER,
    "ray up deploy/ray-up.yaml": CLUSTER,
    "kubectl apply -f deploy/rayjob.yaml": CLUSTER,
    "export EVOSEARCH_DATA=/home/me/big.txt=/scratch/big.txt": SHELL,
    "evosearch search --preset quickstart --address HEAD:6379 --set budget.window=64": CLUSTER,
    "evosearch search --preset quickstart --address 10.0.0.5:6379 --gpus-per-worker 0.25": CLUSTER,
    "evosearch search --preset quickstart --gpus-per-worker 0.25 --set budget.pack=48": NotRun(
        "needs a GPU"
    ),
    # Searching.
    "evosearch search --preset quickstart": f"{FEW} {STEPS}",
    "evosearch search --preset quickstart --seed 1 --workers 8 --run runs/second": f"{FEW} {STEPS}",
    "evosearch search --preset quickstart --start runs/quickstart-0:42": f"{FEW} {STEPS}",
    "evosearch search --preset quickstart --start runs/quickstart-0:42 --seed 1": f"{FEW} {STEPS}",
    "evosearch search --preset quickstart --start idea.program": f"{FEW} {STEPS}",
    "evosearch search --preset quickstart --tasks least_squares": (
        f"{FEW} --set tasks.least_squares.steps=5"
    ),
    "evosearch search --preset quickstart --tasks least_squares,zipf_bigram": (
        f"{FEW} --set tasks.least_squares.steps=5 --set tasks.zipf_bigram.steps=2"
    ),
    "evosearch new task": "-o other_task.py",
    'evosearch compare muon "torch.optim:Muon(weight_decay=0)" lion_pytorch:Lion --plan': (
        f"--seeds 2 --trials 5 {DIGITS}"
    ),
    "evosearch compare lion torch.optim:NAdam --tasks my_task.py --budget 5 -o runs/compared": OWN,
    "evosearch compare --card runs/compared/card.json": NotRun("needs the command above"),
    "evosearch doctor --tasks my_task.py": "",
    "evosearch compare muon torch.optim:NAdam --tasks my_task.py": OWN,
    'evosearch compare muon lion_pytorch:Lion "torch.optim:NAdam(betas=(0.9, 0.99))" '
    "--tasks my_task.py --plan": OWN,
    "evosearch compare muon torch.optim:NAdam optimizer.py:Found --tasks my_task.py --budget 5 "
    "-o runs/compared": NotRun("tests/evosearch/export compares an exported file"),
    "evosearch search --tasks my_task.py --run runs/mine": Slow(
        f"--run runs/my-own {FEW} --set tasks.my_task.steps=5"
    ),
    "evosearch top runs/mine": "",
    "evosearch resume runs/mine --tasks my_task.py": "--workers 1 --quiet",
    "evosearch transfer runs/mine --task my_task.py": OWN,
    "evosearch export runs/mine -o optimizer.py": "",
    "evosearch search --tasks my_task.py --dry-run": "--set tasks.my_task.steps=5",
    "evosearch transfer runs/quickstart-0 42 --task my_task.py": OWN,
    "evosearch transfer short_muon --task my_task.py --plan": OWN,
    "evosearch search --tasks my_task.py": f"{FEW} --set tasks.my_task.steps=5",
    "evosearch search --preset quickstart --set tasks.char_lm.path=my.txt": f"{FEW} {STEPS}",
    "evosearch search --preset quickstart --set elasticity.digits_mlp=1.0 "
    "--set elasticity.char_lm=0.058": f"{FEW} {STEPS}",
    "evosearch search --config my.toml --set budget.evaluations=5000 --time-limit 60": (
        f"{SEARCH} {DIGITS} --time-limit 0.01"
    ),
    "evosearch resume runs/quickstart-0": "--workers 1 --quiet",
    "evosearch resume runs/quickstart-0 --workers 8": "--workers 1 --quiet",
    "evosearch resume runs/quickstart-0 --evaluations 1000": "--workers 1 --time-limit 0.01",
    "evosearch resume runs/quickstart-0 --repair": "--workers 1 --quiet",
    # Reading.
    "evosearch status runs/quickstart-0": "",
    "evosearch status runs/quickstart-0 --json": "",
    "evosearch watch runs/quickstart-0": "",
    "evosearch watch runs/quickstart-0 --serve --port 8000": NotRun(
        "serves until Ctrl-C; tests/evosearch/report/test_live.py asks it"
    ),
    "evosearch watch runs/first --serve": NotRun("serves until Ctrl-C, as above"),
    "evosearch watch --serve": PLACEHOLDER,
    "evosearch watch runs/quickstart-0 --every 60 --json >> progress.jsonl": "",
    "evosearch top runs/quickstart-0": "",
    "evosearch top runs/quickstart-0 -n 50 --json": "",
    "evosearch show runs/quickstart-0": "",
    "evosearch show runs/quickstart-0 42": "",
    "evosearch show runs/quickstart-0 --genome": "",
    "evosearch show lion": "",
    "evosearch show lion --json": "",
    "evosearch show idea.program": "",
    "evosearch show my_optimizer.program": "",
    "evosearch diff runs/quickstart-0 17 42": "",
    "evosearch diff adamw runs/quickstart-0:42": "",
    "evosearch lineage runs/quickstart-0 42": "",
    "evosearch report runs/quickstart-0": "",
    "evosearch report runs/quickstart-0 --curves": Slow(""),
    "evosearch report runs/quickstart-0 runs/quickstart-1 -o seeds.html": NotRun(
        "tests/evosearch/cli/test_cli_report.py makes a page of two runs"
    ),
    "evosearch report runs/rediscover-muon-from-adamw": NotRun(
        "tests/evosearch/studies/rediscovery/test_study.py makes a study's page"
    ),
    "evosearch report runs/first": "",
    "evosearch verify runs/quickstart-0": "",
    "evosearch verify --rebuild runs/quickstart-0": "",
    "evosearch verify --every-pack runs/quickstart-0": "",
    "evosearch verify --same runs/one-worker runs/two-workers": "",
    "evosearch verify --rebuild": PLACEHOLDER,
    "evosearch tasks": "",
    "evosearch primitives": "",
    "evosearch primitives newton_schulz5": "",
    "evosearch primitives --markdown > primitives.md": "",
    "evosearch doctor": Slow(""),
    "evosearch doctor --ray --json": Slow(""),
    # Simplifying and exporting.
    "evosearch simplify idea.program": "",
    "evosearch simplify runs/quickstart-0 42": "",
    "evosearch simplify runs/quickstart-0 42 -o simple.program": Slow(""),
    "evosearch simplify my_optimizer.program --measure --tasks char_lm --budget 20000": MINUTES,
    "evosearch export runs/quickstart-0 42 -o optimizer.py": "",
    "evosearch export runs/quickstart-0 42 --format optax -o optimizer_jax.py": "",
    "evosearch export runs/quickstart-0 42 --format latex": "",
    "evosearch export runs/quickstart-0 42 --simplified -o optimizer.py": "",
    "evosearch export idea.program -o optimizer.py": "",
    "evosearch export lion -o lion.py": "",
    "evosearch export lion -o lion.py --name Lion": "",
    "evosearch export muon": "",
    "evosearch export muon --format optax": "",
    # Evaluating and comparing.
    "evosearch evaluate lion": f"{FAST} {DIGITS} --seeds 2",
    "evosearch evaluate runs/quickstart-0 42 --seeds 8": Slow(FAST),
    "evosearch evaluate my_optimizer.program --tasks digits_mlp,char_lm": Slow(f"{FAST} {STEPS}"),
    "evosearch evaluate lion --tasks cifar10 --set tasks.cifar10.path=cifar-10-batches-bin": NotRun(
        "needs CIFAR-10, 160 MB; tests/proxy_tasks reads both of its forms in small"
    ),
    "evosearch compare adamw lion muon signum": f"{FAST} {DIGITS} --seeds 2",
    "evosearch compare idea.program adamw lion --tasks digits_mlp,char_lm --seeds 4": (
        f"{FAST} {STEPS} --seeds 2"
    ),
    "evosearch compare lion runs/quickstart-0:42 --tasks digits_mlp,char_lm --seeds 8": Slow(
        f"{FAST} --seeds 2"
    ),
    # Studies.
    "evosearch promote runs/quickstart-0 42": MINUTES,
    "evosearch promote runs/quickstart-0 42 17": MINUTES,
    "evosearch promote my_optimizer.program runs/first:12 --tasks digits_vit,zipf_bigram_large": (
        MINUTES
    ),
    "evosearch promote discovered/*.json --tasks digits_mlp,char_lm --seeds 6 --trials 96 "
    "--set tasks.char_lm.steps=80 --set tasks.char_lm.batch=8": MINUTES,
    "evosearch calibrate": "",
    "evosearch calibrate --preset foretell --json": "",
    "evosearch calibrate --tasks two_sided_least_squares --plot panel.svg": "",
    "evosearch calibrate --tasks least_squares,digits_mlp,matrix_factorization": "",
    "evosearch calibrate --fresh --seed 2 --workers 2": MINUTES,
    "evosearch scale muon normuon soap nadamw mars_adamw signum --workers 2 "
    "--set tasks.char_lm_scale.batch=4": MINUTES,
    "evosearch scale --plan": Slow(""),
    "evosearch scale runs/quickstart-0:42": Slow(TINY_SCALE),
    "evosearch scale runs/quickstart-0 my_optimizer.program --workers 8": Slow(
        f"--workers 1 {TINY_SCALE}"
    ),
    "evosearch scale discovered/*.json --set tasks.char_lm_scale.batch=4 --seeds 6": Slow(
        TINY_SCALE
    ),
    "evosearch scale discovered/short_muon.json --tune-constants --fine --tuning-seeds 2": Slow(
        f"{TINY_SCALE} --search none"
    ),
    "evosearch scale discovered/short_muon.json examples/programs/muon_*.program "
    "--set tasks.char_lm_scale.batch=4 --trials 13 --seeds 9": Slow(TINY_SCALE),
    "evosearch rediscover muon --seeds 3 --no-controls": Slow(REDISCOVER),
    "evosearch rediscover muon --seeds 10 --dir runs/muon --json": Slow(REDISCOVER),
    "evosearch rediscover muon --seeds 10 --first-seed 1100 --no-controls": Slow(REDISCOVER),
    "evosearch rediscover lion --seeds 10 --first-seed 1100 --no-controls": Slow(REDISCOVER),
    "evosearch rediscover muon --seeds 3 --first-seed 1000": MINUTES,
    "evosearch rediscover lion --from momentum --seeds 10 --first-seed 100": Slow(REDISCOVER),
    "evosearch baselines": "",
    "evosearch baselines varying_batch --json": "",
    "evosearch baselines digits_mlp least_squares --measure --workers 2": MINUTES,
    "python -m pytest -s -k floors tests/test_layering.py": NotRun("runs with all tests"),
    # Benchmarks, which have no smaller form where it says so, and examples.
    "python -m benchmarks.picture": MINUTES,
    "python -m benchmarks.own_models speed": MINUTES,
    "python -m benchmarks.own_models agreement": MINUTES,
    "python -m benchmarks.own_models disguise": MINUTES,
    "python -m benchmarks.own_models mistuned": MINUTES,
    "python -m benchmarks.adamw_in_disguise -o benchmarks/results/adamw_in_disguise.json": MINUTES,
    "python -m benchmarks.short_muon --batch 4 "
    "-o benchmarks/results/short_muon_batch4.json": MINUTES,
    "python -m benchmarks.lion_leaders -o benchmarks/results/lion_leaders.json": MINUTES,
    "python -m benchmarks.quickstart_edits --seeds 3 "
    "-o benchmarks/results/quickstart_edits.json": MINUTES,
    "python -m benchmarks.quickstart_winners --seeds 10 --first-seed 2030 "
    "-o benchmarks/results/quickstart_winners.json": MINUTES,
    "python -m benchmarks.mutants": MINUTES,
    "python -m benchmarks.known_optimizers": MINUTES,
    "python -m benchmarks.cores": MINUTES,
    "python -m benchmarks.kills": MINUTES,
    "python -m benchmarks.all_cores": Slow("--cores 1 --repetitions 1 --tasks micro"),
    "python -m benchmarks.gpu": NotRun("needs a GPU; tests/evosearch/training has its parts"),
    "python -m benchmarks.simplify": Slow("--random 3 --bloated 1"),
    "python -m benchmarks.simplify --lion --random 0 --bloated 0": MINUTES,
    "python -m benchmarks.driver": Slow("--workers 2 --packs 20 --repetitions 1"),
    "python -m benchmarks.lanes": Slow("--repetitions 1 --candidates 3 --runs 1 --tasks micro"),
    "python -m benchmarks.floor": Slow("--repetitions 1 --steps 2 --tasks micro"),
    "python -m benchmarks.kernels": Slow("--repetitions 1 --tasks micro"),
    "python -m benchmarks.propose": Slow("--children 20 --repetitions 1 --evolve 20"),
    "python -m benchmarks.reach": Slow("--proposals 60 --starts sgd"),
    "python -m benchmarks.reach --proposals 5000": MINUTES,
    "python -m benchmarks.workers": Slow("--evaluations 16 --repetitions 1"),
    "python -m benchmarks.elasticity quickstart": MINUTES,
    "evosearch export lion -o lion.py && python examples/train_digits.py lion.py --lr 0.001": Slow(
        "--epochs 2"
    ),
    "python examples/query_run.py runs/quickstart-0": NotRun("tests/evosearch/runs runs its parts"),
    "python examples/tensorboard_log.py": NotRun("a search; tests/evosearch/runs has its class"),
    "torchrun --nproc-per-node 2 examples/train_ddp.py": NotRun("tests/evosearch/export runs it"),
    "pip install transformers accelerate && python examples/train_huggingface.py": SHELL,
    "pip install transformers && evosearch search --tasks examples/task_gpt2.py": SHELL,
    "evosearch compare adamw lion muon --tasks examples/own_task.py": Slow(
        f"{FAST} --set tasks.diabetes.steps=5 --seeds 2 --trials 5"
    ),
    "evosearch search --tasks examples/own_task.py": Slow(f"{FEW} --set tasks.diabetes.steps=5"),
    "evosearch search --tasks examples/task_vit.py": NotRun("tests/evosearch/export runs it"),
    "evosearch search --tasks examples/task_resnet.py": NotRun("tests/evosearch/export runs it"),
    "python examples/digits_as_cifar.py cifar-digits": "",
    "pip install lightning && python examples/train_lightning.py": SHELL,
}
"""Each command as documented, with the words that are added to it, or why it is not run."""

OWN_TASK = "diabetes"
"""A task of a file that EVOSEARCH_TASKS names, which is read once in the life of a process."""

PROGRAM = "evosearch|python3?|make|ray|git|source|export|pip|torchrun|sbatch|kubectl"
LINE = re.compile(rf"(?:[A-Z_]+=\S+ )?(?:\.venv/bin/)?(?:{PROGRAM}) .*")
BLOCK = re.compile(r"^```python(?: title=\"(\S+)\")?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def command_in(line: str) -> str | None:
    """Return the command that a line begins with; what explains it comes after two spaces."""
    line = line.strip()
    if not LINE.fullmatch(line):
        return None
    return re.split(r"\s{2,}|\s#\s", line)[0].removeprefix(".venv/bin/")


def commands_of_page(text: str) -> Iterator[str]:
    """Yield the commands of indented blocks and in text, but for those with a placeholder.

    A command's bare name in a sentence speaks of it, and is not to be typed.
    """
    text = re.sub(r"\\\n\s+", "", BLOCK.sub("", text))
    for line in re.findall(r"^ {4}(.*)$", text, re.MULTILINE):
        yield from filter(None, [command_in(line)])
    for code in re.findall(r"`((?:evosearch [\w-]+|make|python -m) [^`\n]+)`", text):
        if not re.search(r"\b[A-Z]{2,}\b", code):
            yield code


def documented() -> dict[str, str]:
    """Return every documented command, and where one stands."""
    found: dict[str, str] = {}
    for page in PAGES:
        found |= dict.fromkeys(commands_of_page((ROOT / page).read_text("utf-8")), page)
    for command in (main, *(c.callback for c in app.registered_commands)):
        assert command is not None
        examples = (inspect.getdoc(command) or "").partition("Examples:\n")[2]
        assert examples, f"{command.__name__} --help has no examples"
        lines = filter(None, map(command_in, examples.splitlines()))
        found |= dict.fromkeys(lines, f"{command.__name__} --help")
    for path in sorted((ROOT / "examples").glob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        commands = list(filter(None, map(command_in, text.splitlines())))
        assert commands, f"{path.name} does not say how it is run"
        found |= dict.fromkeys(commands, path.name)
    return found


def run(command: str) -> str:
    """Run a command line in this process where it is ours, and return what it printed."""
    output = ""
    for part in command.split(" && "):
        words, _, file = part.partition(">")
        program, *arguments = expanded(words)
        if program == "evosearch" and OWN_TASK not in arguments:
            done = CliRunner().invoke(app, arguments)
            assert done.exit_code == 0, f"{part}: {done.stderr or done.exception!r}"
            output = done.stdout
        else:
            assert program in ("evosearch", "python"), part
            module = ["-m", "evosearch"] if program == "evosearch" else []
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
            child = subprocess.run(
                [sys.executable, *module, *arguments],
                capture_output=True,
                text=True,
                check=False,
                env=environment,
            )
            assert child.returncode == 0, f"{part}: {child.stderr}"
            output = child.stdout
        if file:
            Path(file.strip("> ")).write_text(output, encoding="utf-8")
    return output


def expanded(line: str) -> list[str]:
    """Return the words of a command as a shell gives them to the program."""
    words: list[str] = []
    for word in shlex.split(re.sub(r"^[A-Z_]+=\S+ ", "", line)):
        files = sorted(map(str, Path().glob(word))) if "*" in word else []
        words += files or [word]
    return words


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the documentation speaks of."""
    folder = tmp_path_factory.mktemp("documented")
    for name in ("examples", "benchmarks"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "discovered", folder / "discovered")  # looks are noted there
    programs = {name: text for name, text in BLOCK.findall(page("docs/guide.md")) if name}
    for name in ("idea.program", "my_optimizer.program"):
        (folder / name).write_text(programs["idea.program"], encoding="utf-8")
    (folder / "my.txt").write_text(3 * "".join(map(page, PAGES)), encoding="utf-8")
    (folder / "my.toml").write_text('[[tiers]]\ntasks = ["digits_mlp"]\n', encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run("evosearch new task")
        compute_here(patch)
        run(
            f"evosearch search --preset quickstart {SEARCH} {STEPS} "
            f"--set budget.evaluations={CANDIDATES}"
        )
        run(
            "evosearch search --preset smoke --run runs/first --workers 1 --quiet "
            f"--set budget.evaluations=16 {DIGITS}"
        )
    assert len(Run.open(folder / "runs" / "quickstart-0").history.candidates) == CANDIDATES
    for copy in ("one-worker", "two-workers", "mine"):
        shutil.copytree(folder / "runs" / "first", folder / "runs" / copy)
    return folder


@pytest.fixture
def place(
    template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Path:
    """A copy of that folder, which is the current one."""
    compute_here(monkeypatch, request)
    shutil.copytree(template, tmp_path / "here", symlinks=True)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("EVOSEARCH_TASKS", "examples/own_task.py")
    return Path()


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_table_lists_what_is_documented_and_nothing_else() -> None:
    found = documented()
    missing = {c: where for c, where in found.items() if c not in LISTED}
    assert not missing, "documented, but not listed here"
    assert not LISTED.keys() - found, "listed here, but not documented"


def listed(kind: type) -> list[str]:
    return [command for command, how in LISTED.items() if isinstance(how, kind)]


PROCESSES = ("evosearch search --preset quickstart", "README.md")
"""What computes in processes of its own, as it does for a user; one of each kind is enough."""


def apart(names: Iterable[str]) -> list[ParameterSet]:
    """Return parameters of which those in PROCESSES have that mark."""
    marks = {name: [pytest.mark.processes] for name in PROCESSES}
    return [pytest.param(name, marks=marks.get(name, []), id=name) for name in names]


@pytest.mark.parametrize("command", apart(listed(str)))
def test_a_documented_command_runs(command: str, place: Path) -> None:
    fresh = command.startswith(("evosearch search", "EVOSEARCH"))
    if fresh:
        shutil.rmtree(place / "runs" / "second", ignore_errors=True)
    more = LISTED[command]
    assert isinstance(more, str)
    line, redirect, file = command.partition(" >")
    output = run(f"{line} {more}{redirect}{file}")
    assert output or command.partition(" -o ")[2], "prints nothing, and writes nothing"
    for name in re.findall(r"-o (\S+)", command):
        assert (place / name).stat().st_size


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("command", listed(Slow))
def test_a_documented_command_runs_that_takes_seconds(command: str, place: Path) -> None:
    more = LISTED[command]
    assert isinstance(more, Slow)
    run(f"{command} {more.more}")
    for name in re.findall(r"-o (\S+)", command):
        assert (place / name).stat().st_size


@pytest.mark.parametrize("name", apart(name for name in PAGES if BLOCK.search(page(name))))
def test_python_blocks_run_one_after_another(
    name: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the preset `smoke` as it ships, and comparisons as they stand."""
    shutil.rmtree(place / "runs")
    scope = scope_of(name)
    for title, block in BLOCK.findall(page(name)):
        if not title:
            exec(compile(block, name, "exec"), scope)
    if name == "docs/guide.md":
        assert {"lion", "signed"} <= {
            line.partition(" ")[0] for line in capsys.readouterr().out.splitlines()
        }
        assert isinstance(scope["optimizer"], torch.optim.Optimizer)


def scope_of(name: str) -> dict[str, object]:
    """Return the names that a page's Python takes for granted: a model and an optimizer for it."""
    if name != "docs/export.md":
        return {}
    from discovered.muon import Muon

    layers = (torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    return {"torch": torch, "Muon": Muon, "model": torch.nn.Sequential(*layers)}


@pytest.mark.parametrize("name", PAGES)
def test_links_to_files_lead_somewhere(name: str) -> None:
    made = {"commands.md", "ops.md", "api.md", "discovered.md", "contributing.md", "changelog.md"}
    for target in re.findall(r"\]\(((?!https?:)[^)#]+)", page(name)):
        assert target in made or (ROOT / name).parent.joinpath(target).exists(), target
