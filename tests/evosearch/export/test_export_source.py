"""The exported file itself: what it imports, how it reads, that it is the same every time."""

from __future__ import annotations

import ast
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from evolved_programs import evolved
from exported_optimizers import module_of, optimizer_of

from evosearch.errors import UsageError
from evosearch.export import export
from evosearch.export.load import to_optimizer
from evosearch.language.known import KNOWN, known
from evosearch.language.parse import parse_rules

PROGRAMS = [*map(known, KNOWN), *evolved()]
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All exported files in one folder."""
    folder = tmp_path_factory.mktemp("exported")
    for rules in PROGRAMS:
        (folder / f"{rules.name}.py").write_text(export(rules), encoding="utf-8")
    return folder


def _ruff(*arguments: str) -> subprocess.CompletedProcess[str]:
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent))
    if ruff is None:
        pytest.skip("ruff is not installed")
    return subprocess.run([ruff, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("settings", [["--isolated"], ["--config", str(ROOT / "pyproject.toml")]])
@pytest.mark.parametrize("command", [["format", "--check"], ["check"]])
def test_files_are_formatted_and_lint_clean(
    folder: Path, command: list[str], settings: list[str]
) -> None:
    """With ruff's own settings and with ours."""
    # A function is as long as its program, and a formula's line as one of its statements.
    long = ["--ignore", "PLR0915,E501"] if command == ["check"] else []
    done = _ruff(*command, "--no-cache", *settings, *long, str(folder))
    assert done.returncode == 0, done.stdout


def test_the_same_program_gives_the_same_bytes() -> None:
    sources = "import sys; sys.path.insert(0, sys.argv[1])\n" + (
        "from evolved_programs import evolved\nfrom evosearch.export import export\n"
        "print(''.join(map(export, evolved()[:10])))"
    )
    other = subprocess.run(
        [sys.executable, "-c", sources, str(ROOT / "tests" / "support")],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)},
    )
    assert other.stdout == "".join(map(export, evolved()[:10])) + "\n"


@pytest.mark.parametrize("rules", PROGRAMS, ids=lambda rules: rules.name)
def test_torch_is_all_that_is_imported(rules) -> None:
    tree = ast.parse(export(rules))
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {name.partition(".")[0] for name in imported} <= {"torch", "warnings"}


def test_no_variable_is_left_unused() -> None:
    """Every parameter of a generated function is read."""
    for rules in PROGRAMS:
        for node in ast.walk(ast.parse(export(rules))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("_update"):
                read = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
                arguments = {a.arg for a in (*node.args.args, *node.args.kwonlyargs)}
                assert arguments <= read, f"{rules.name}: {arguments - read}"


def test_documentation_has_the_formula() -> None:
    lion = optimizer_of(known("lion")).__doc__ or ""
    assert "u = sign(beta1 * exp_avg + (1 - beta1) * g)" in lion
    assert "exp_avg = beta2 * exp_avg + (1 - beta2) * g" in lion
    assert "w = w - lr * (u + weight_decay * w)" in lion
    adamw = optimizer_of(known("adamw")).__doc__ or ""
    assert "u = exp_avg / (1 - beta1**t) / (sqrt(exp_avg_sq / (1 - beta2**t)) + eps)" in adamw
    muon = optimizer_of(known("muon")).__doc__ or ""
    assert "c = (1 - momentum) * g + momentum * momentum_buffer" in muon
    assert "u = newton_schulz(c, ns_steps)" in muon
    assert "w = w - lr * (scale * u + weight_decay * w)" in muon


@pytest.mark.parametrize("name", ["lion", "adamw", "muon", "prodigy", "normuon"])
def test_what_is_documented_is_what_holds(name: str) -> None:
    """The arguments, their ranges and their defaults in the text are those of the code."""
    cls = optimizer_of(known(name))
    text = (cls.__doc__ or "").partition("Args:")[2]
    entries = dict(re.findall(r"^ {8}([\w, ]+): (.+(?:\n {12}.+)*)", text, re.MULTILINE))
    parameters = inspect.signature(cls.__init__).parameters
    documented = {word.strip() for key in entries for word in key.split(",")}
    arguments = {key for key in parameters if not key.startswith("backup_")} - {"self"}
    assert documented == arguments
    params = [torch.nn.Parameter(torch.ones(3, 3)), torch.nn.Parameter(torch.ones(3))]
    groups = cls(params).param_groups
    checked = 0
    for key, doc in entries.items():
        for value, group in re.findall(r"([\d.e-]+) for (matrices|the others)", doc):
            assert groups[group == "the others"][key] == float(value)
        bounds = re.search(r"in \[(.+), (.+)\)|>= ([\d.]+)", doc)
        if bounds is None:
            continue
        checked += 1
        low, high = float(bounds[1] or bounds[3]), float(bounds[2] or "inf")
        default = parameters[key].default
        kind = type(default) if isinstance(default, int) else float
        many = len(default) if isinstance(default, tuple) else 0
        right, wrong = ((kind(x),) * many if many else kind(x) for x in (low, low - 1))
        assert cls(params, **{key: right}).param_groups[0][key] == right
        outside = [wrong, (high,) * many if many else high]
        for value in outside:
            with pytest.raises(ValueError, match=key):
                cls(params, **{key: value})
    assert checked > 1


@pytest.mark.parametrize(
    ("name", "most"), [("lion", 150), ("signum", 150), ("adamw", 170), ("muon", 400)]
)
def test_files_are_short(name: str, most: int) -> None:
    assert len(export(known(name)).splitlines()) <= most


PARTS = (
    ("__init__",),
    ("add_param_group", "_options", "_refuse", "_share"),
    ("_is_matrix", "_matrix", "_name"),
    ("_check",),
    ("__setstate__",),
    ("step", "_batches"),
    (
        *("_update", "_update_matrices", "_update_others"),
        *("_newton_schulz", "_quintic", "_scale", "_descend"),
    ),
    ("_view", "_stack", "_like"),
)
"""The functions of an exported file, as `docs/export.md` counts their lines."""


def _lines_by_part(name: str) -> list[int]:
    """Return the lines of a file's head, of its documentation, of its parts, between and all."""
    text = export(known(name))
    tree = ast.parse(text)
    (cls,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    first, *methods = cls.body
    sizes: dict[str, int] = {}
    for node in (*methods, *tree.body):
        if isinstance(node, ast.FunctionDef):
            start = min(n.lineno for n in (node, *node.decorator_list))
            sizes[node.name] = node.end_lineno - start + 1
    assert sizes.keys() <= {function for part in PARTS for function in part}
    counts = [cls.lineno - 1, first.end_lineno - first.lineno + 1]
    counts += [sum(sizes.get(function, 0) for function in part) for part in PARTS]
    total = len(text.splitlines())
    return [*counts, total - sum(counts), total]


def test_the_page_says_what_each_part_costs() -> None:
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    table = page.partition("<!-- lines -->")[2].partition("<!-- end of lines -->")[0]
    rows = [line.split("|")[2:-1] for line in table.strip().splitlines()[2:]]
    columns = [list(map(int, column)) for column in zip(*rows, strict=True)]
    assert columns == [_lines_by_part(name) for name in ("lion", "adamw", "muon")]


def test_formulas_do_not_move_past_assignments() -> None:
    """What is computed before a state changes is not written after it."""
    text = "def f(w, g, m):\n    c = lerp(m, g, 0.1)\n    m = lerp(m, g, 0.01)\n    u = sign(c)\n"
    documentation = optimizer_of(parse_rules(f"{text}    return u, m\n")).__doc__ or ""
    lines = [line.strip() for line in documentation.splitlines()]
    assert lines.index("c = beta1 * exp_avg + (1 - beta1) * g") < lines.index("u = sign(c)")


def test_constants_have_the_names_of_the_field() -> None:
    def arguments(name: str) -> dict[str, object]:
        parameters = inspect.signature(optimizer_of(known(name)).__init__).parameters
        return {k: p.default for k, p in parameters.items() if k not in ("self", "params")}

    flags = {"maximize": False, "foreach": None, "capturable": False}
    assert arguments("lion") == {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.0, **flags}
    assert arguments("signum") == {"lr": 1e-4, "momentum": 0.9, "weight_decay": 0.0, **flags}
    assert arguments("adamw") == {
        "lr": 1e-3,
        "betas": (0.9, 0.999),
        "eps": 1e-8,
        "weight_decay": 0.01,
        **flags,
    }
    assert arguments("muon") == {
        "lr": None,
        "momentum": 0.95,
        "ns_steps": 5,
        "ns_dtype": None,
        "adjust_lr_fn": None,
        "weight_decay": 0.0,
        "backup_adamw_lr": None,
        "backup_adamw_betas": (0.9, 0.95),
        "backup_adamw_eps": 1e-10,
        "backup_adamw_wd": None,
        "use_matrix_rule": None,
        "batch_dims": None,
        **flags,
    }


def test_values_as_found_are_the_defaults() -> None:
    rules = parse_rules(
        "def f(w, g, m):\n    m = lerp(m, g, 0.03)\n    u = clip(m, 0.7)\n    return u, m\n"
    )
    cls = optimizer_of(rules, name="Found", lr=0.0123, provenance="Found in run 7.")
    group = cls([__import__("torch").nn.Parameter(__import__("torch").ones(2))]).param_groups[0]
    assert (group["lr"], group["momentum"], group["clip"]) == (0.0123, 0.97, 0.7)
    assert cls.__name__ == "Found"
    assert "Found in run 7." in (
        module_of(rules, name="Found", lr=0.0123, provenance="Found in run 7.").__doc__ or ""
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lion", "Lion"),
        ("my_lion", "MyLion"),
        ("MyLion", "MyLion"),
        ("adamw", "AdamW"),
        ("_x", "X"),
    ],
)
def test_names_become_class_names(name: str, expected: str) -> None:
    assert optimizer_of(known("lion"), name=name).__name__ == expected


@pytest.mark.parametrize("name", ["2fast", "a-b", "Tensor", "none", "True", "false"])
def test_names_that_cannot_be_classes_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a class"):
        export(known("lion"), name=name)


def test_awkward_names_in_a_program_are_no_trouble() -> None:
    """Variables named like arguments, builtins and kernels of the exported file."""
    text = """
def f(w, g, momentum, eps, p):
    params = lerp(momentum, g, 0.1)
    list = square(g)
    eps = lerp(eps, list, 0.01)
    zip = sqrt(eps)
    g = zip + 1e-08
    loss = params / g
    p = heavy_ball(p, loss, 0.5)
    momentum = params + 0.5
    w = p + momentum
    return w, momentum, eps, p
"""
    import torch

    p = torch.nn.Parameter(torch.ones(3))
    optimizer = optimizer_of(parse_rules(text))([p])
    p.grad = torch.ones(3)
    optimizer.step()
    assert set(optimizer.state[p]) == {"momentum", "exp_avg_sq", "momentum_buffer"}
    assert (p < 1).all()


def test_long_names_do_not_make_long_lines() -> None:
    long = "a_very_long_name_for_a_variable_indeed"
    text = f"def f(w, g, {long}):\n    {long}2 = arcsinh({long})\n    {long} = power(g, 0.5)\n"
    rules = parse_rules(f"{text}    u = {long}2 * {long}\n    return u, {long}\n")
    lines = export(rules).splitlines()
    assert max(map(len, lines)) <= 100


@pytest.mark.slow
def test_the_documented_table_is_fresh() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "optimizer_conformance.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    table = "\n".join(line for line in done.stdout.splitlines() if line.startswith("|"))
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    assert table in page, "run: python benchmarks/optimizer_conformance.py --write"


def test_constants_are_exported_under_their_names():
    text = (
        "def f(w, g, m):\n    rho = 0.9\n    weight_decay = 0.3\n"
        "    m = lerp(m, g, 1 - rho)\n    u = debias(m, rho)\n    r = g * weight_decay\n"
        "    x = g * 0.2\n    u = u + r\n    u = u + x\n    return u, m\n"
    )
    optimizer = to_optimizer(parse_rules(text))([torch.nn.Parameter(torch.ones(3))])
    options = optimizer.defaults
    assert (options["rho"], options["weight_decay_1"], options["weight_decay"]) == (0.9, 0.3, 0.0)
    assert options["scale"] == 0.2
