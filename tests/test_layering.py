"""Who may import whom, read from the source: `docs/architecture.md` says why."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("discovered", "evosearch", "primitives", "proxy_tasks")
MODULES = sorted(
    path.relative_to(ROOT).as_posix()
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
)

PATHS = {m.removesuffix(".py").removesuffix("/__init__").replace("/", "."): m for m in MODULES}
"""Dotted name to file."""

FLOORS = (
    ("primitives", "proxy_tasks", "discovered", "evosearch.errors"),
    ("proxy_tasks.kernels", "evosearch.language", "evosearch.storage"),
    ("evosearch.hardware", "proxy_tasks.data"),
    ("evosearch.mutation", "proxy_tasks.models", "proxy_tasks.user_tasks"),
    ("evosearch.equivalence", "proxy_tasks.tasks"),
    ("evosearch.simplify", "proxy_tasks.registry"),
    ("evosearch.recognize",),
    ("evosearch.training",),
    ("evosearch.config", "evosearch.export"),
    ("evosearch.workers",),
    ("evosearch.evolution",),
    ("evosearch.runs",),
    ("evosearch.doctor", "evosearch.report", "evosearch.studies"),
    ("evosearch.studies.rediscovery", "evosearch.api"),
    ("evosearch.studies.scale", "evosearch"),
    ("evosearch.studies.discoveries", "evosearch.cli"),
    ("evosearch.__main__",),
)
"""Rooms, lowest floor first: a module imports from its own room and from floors below, no more.

A module is in the room with the longest name that its own begins with. `python -m pytest -s -k
floors tests/test_layering.py` prints what each room takes from which.
"""

ALONE = {"primitives", "proxy_tasks", "discovered"}
"""Packages that know no other of ours; exported files need torch and nothing else."""

KEPT_TO = {
    "ray": r"evosearch/workers/ray_(cluster|nodes|session)\.py",
    "pyarrow": r"evosearch/storage/(columns|parquet|seal|sealed)\.py",
    "sympy": r"primitives/symbolic\.py"
    r"|evosearch/(language/latex|export/latex_file)\.py|evosearch/simplify/.*",
    "latex2mathml": r"evosearch/language/mathml\.py",
    "llvmlite": r"proxy_tasks/kernels/(ir|jit)\.py",
    "scipy": r"evosearch/(studies/(statistics|noninferiority)|equivalence/trajectory)\.py",
    "sklearn": r"proxy_tasks/data/(digits|tables)\.py",
    "typer": r"evosearch/(cli/.*|__main__\.py)",
    "rich": r"evosearch/cli/.*",
}
"""Libraries that only these modules know."""

LAZY = {"torch", "ray", "sympy", "scipy", "sklearn", "pyarrow"}
"""Libraries that take a noticeable part of a second to import."""


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


def imported(node: ast.AST) -> Iterator[str]:
    """Yield the full names of the modules that a subtree imports; no import is relative."""
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative import"
            assert child.module is not None
            yield child.module
            yield from (f"{child.module}.{alias.name}" for alias in child.names)


def roots(module: str) -> set[str]:
    return {name.partition(".")[0] for name in imported(tree_of(module))}


def at_import_time(module: str) -> Iterator[str]:
    """Yield what a module imports when it is imported, types alone not counted."""
    for statement in tree_of(module).body:
        typing_only = isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test)
        function = isinstance(statement, ast.FunctionDef | ast.ClassDef)
        if not typing_only and not function:
            yield from imported(statement)


def test_the_scan_sees_the_packages() -> None:
    assert {
        "evosearch/workers/ray_cluster.py",
        "primitives/table.py",
        "proxy_tasks/task.py",
    } <= set(MODULES)
    assert "ray" in roots("evosearch/workers/ray_cluster.py")
    assert "evosearch.language.parse" in set(imported(tree_of("evosearch/language/known.py")))


NEVER_IMPORTED = {"jax"}
"""What a module names that is only read as text, for files that are exported."""


def room_of(name: str) -> str:
    """Return the room that a module is in."""
    rooms = [room for floor in FLOORS for room in floor if f"{name}.".startswith(f"{room}.")]
    return max(rooms, key=len)


def needs(name: str) -> set[str]:
    """Return the modules of ours that a module imports anywhere: at once, late, or for types."""
    return modules_among(imported(tree_of(PATHS[name]))) - {name}


def modules_among(names: Iterable[str]) -> set[str]:
    """Return the modules among imported names, of packages only what is taken out of them."""
    found = {name for name in names if name in PATHS}
    return {name for name in found if not any(other.startswith(f"{name}.") for other in found)}


def test_rooms_import_from_lower_floors_only() -> None:
    level = {room: number for number, floor in enumerate(FLOORS) for room in floor}
    taken: dict[str, set[str]] = {room: set() for room in level}
    for name in (name for name in PATHS if not name.startswith("discovered")):
        taken[room_of(name)] |= {room_of(need) for need in needs(name)} - {room_of(name)}
    for number, floor in enumerate(FLOORS):
        for room in floor:
            print(f"{number:3}  {room:30}  {', '.join(sorted(taken[room]))}")
            upward = {other for other in taken[room] if level[other] >= number}
            assert not upward, f"{room} imports {upward}, which do not lie on a lower floor"


def test_no_module_imports_itself_in_a_circle() -> None:
    """Late imports count; those for types alone do not, for nothing runs by them."""
    graph = {}
    for name, module in PATHS.items():
        guards = [node for node in ast.walk(tree_of(module)) if isinstance(node, ast.If)]
        types = {n for g in guards if "TYPE_CHECKING" in ast.dump(g.test) for n in imported(g)}
        graph[name] = needs(name) - types
    TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize("package", sorted(ALONE))
def test_packages_that_stand_alone(package: str) -> None:
    for module in (m for m in MODULES if m.startswith(f"{package}/")):
        ours = roots(module) & set(PACKAGES)
        assert ours <= {package}, f"{module} imports {ours - {package}}"
        if package == "discovered" and not module.endswith("__init__.py"):
            assert roots(module) - sys.stdlib_module_names <= {"torch"}, module


def test_the_house_is_seen_at_a_glance() -> None:
    entries = [p.name for p in (ROOT / "evosearch").iterdir() if p.name != "__pycache__"]
    assert len(entries) <= 22, sorted(entries)


@pytest.mark.parametrize("library", KEPT_TO)
def test_a_library_stays_in_its_modules(library: str) -> None:
    users = {module for module in MODULES if library in roots(module)}
    strangers = {module for module in users if not re.fullmatch(KEPT_TO[library], module)}
    assert users
    assert not strangers, f"{library} is imported by {strangers}"


def test_nothing_but_the_declared_dependencies_is_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[<>=\[ ]", requirement)[0] for requirement in project["dependencies"]}
    names = {"sklearn" if name == "scikit-learn" else name for name in names}
    found = set().union(*map(roots, MODULES)) - sys.stdlib_module_names - set(PACKAGES)
    assert found - NEVER_IMPORTED <= names
    assert names - found <= {"numpy"}, "declared but not used"


def test_help_needs_no_slow_library() -> None:
    """Follow what `evosearch --help` imports; torch and its like must come later."""
    todo, seen = ["evosearch.cli.main"], set[str]()
    while todo:
        name = todo.pop()
        if name in seen or name not in PATHS:
            continue
        seen.add(name)
        needs = set(at_import_time(PATHS[name]))
        slow = {need.partition(".")[0] for need in needs} & LAZY
        assert not slow, f"{name} imports {slow}"
        todo += needs
        todo += [name.rpartition(".")[0]]
    assert len(seen) > 5


def public_names(module: str) -> set[str]:
    """Return the names that a module defines at its top level without an underscore."""
    found: set[str] = set()
    for statement in tree_of(module).body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            found.add(statement.name)
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in found if not name.startswith("_")}


def exports(module: str) -> list[str] | None:
    for statement in tree_of(module).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            return ast.literal_eval(statement.value)
    return None


def fault_of_exports(module: str) -> str | None:
    names, defined = exports(module), public_names(module)
    if names is None:
        body = tree_of(module).body
        public = defined & {n.name for n in body if isinstance(n, ast.ClassDef | ast.FunctionDef)}
        return f"no __all__, but {public}" if public else None
    if names != sorted(set(names), key=lambda n: (not n.isupper(), not n[0].isupper(), n)):
        return "not sorted: CONSTANTS, Classes, functions"
    known = defined | {name.rpartition(".")[2] for name in imported(tree_of(module))}
    lazy = "__getattr__" in {getattr(node, "name", "") for node in tree_of(module).body}
    return None if lazy or set(names) <= known else f"undefined: {set(names) - known}"


def test_every_module_says_what_it_offers_in_order() -> None:
    faults = {module: fault_of_exports(module) for module in MODULES}
    assert not {module: fault for module, fault in faults.items() if fault}


def test_every_module_begins_with_what_it_is() -> None:
    for module in MODULES:
        docstring = ast.get_docstring(tree_of(module))
        assert docstring, module
        assert docstring.splitlines()[0].endswith((".", "?")), module
