"""One word for one thing: a name of a class means one class, wherever it is read."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("evosearch", "primitives", "proxy_tasks")


def defined(tree: ast.Module) -> set[str]:
    """The public classes that a module defines anywhere, and its types under other names."""
    classes = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    aliases = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and re.fullmatch(r"[A-Z][A-Za-z]*[a-z][A-Za-z]*", target.id)
    }
    return {name for name in classes | aliases if not name.startswith("_")}


def homes(sources: dict[str, str]) -> dict[str, list[str]]:
    """Return every name that is defined in several modules, with these modules."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for module, source in sources.items():
        for name in defined(ast.parse(source)):
            found[name].append(module)
    return {name: modules for name, modules in found.items() if len(modules) > 1}


def test_a_name_that_two_modules_define_is_found() -> None:
    sources = {
        "a": "class Trial:\n    class Inner:\n        pass\n",
        "b": "Trial = tuple[int, ...]\nLIMIT = 3\n\n\nclass _Own:\n    pass\n",
        "c": "LIMIT = 4\n\n\nclass _Own:\n    pass\n\n\ndef f():\n    class Inner:\n        pass\n",
    }
    assert homes(sources) == {"Trial": ["a", "b"], "Inner": ["a", "c"]}


def test_no_name_of_a_class_means_two_things() -> None:
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    assert len(paths) > 150
    assert homes({str(path.relative_to(ROOT)): path.read_text() for path in paths}) == {}


def test_no_two_files_of_tests_have_one_name() -> None:
    """The second would not be imported, and the whole run ends before its first test."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
