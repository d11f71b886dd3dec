"""Mutants: lines of the search's core are changed on purpose, and tests that pass all the same.

    python -m benchmarks.mutants [--count 300] [--seed 0] [--only TEXT] [--since REV] [--list]

A mutant is one small change of one line: a comparison, a bound, a sign, a condition, a default, a
statement that is left out. Of all that can be made of the modules in TARGETS a sample is drawn by
the seed; each mutant is put in the place of its module in a process of its own, which has torch and
pytest loaded already, and the tests named beside its module run until one fails. A mutant that
survives shows a line whose meaning no test asks for, unless the change means nothing: then
`benchmarks/mutants.toml` says why. What was found is kept in a file as it comes, so that a run that
was ended goes on, and written down in `docs/mutants.md`; a survivor without a reason ends the
command with status 1.

There are tools for this, mutmut and cosmic-ray. The first copies the tree and rewrites every
function, the second starts Python anew for each mutant, which takes longer than the tests do;
neither draws a sample by a seed or leaves out statements.
"""

from __future__ import annotations

import argparse
import ast
import copy
import hashlib
import importlib
import json
import os
import random
import resource
import select
import signal
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
REASONS: Final = ROOT / "benchmarks" / "mutants.toml"
PAGE: Final = ROOT / "docs" / "mutants.md"

_EVOLUTION: Final = "tests/evosearch/evolution"
_SEARCH: Final = tuple(
    f"{_EVOLUTION}/test_{name}.py"
    for name in ("pinned_history", "population_fitness", "population", "records")
)
TARGETS: Final = {
    "evosearch.evolution.population": (
        *_SEARCH,
        *(f"{_EVOLUTION}/test_{name}.py" for name in ("archive", "donors", "loop")),
    ),
    "evosearch.evolution.fitness": (f"{_EVOLUTION}/test_fitness.py", *_SEARCH),
    "evosearch.evolution.retune": (f"{_EVOLUTION}/test_retune.py", *_SEARCH),
    "evosearch.evolution.island": (f"{_EVOLUTION}/test_island.py", *_SEARCH),
    "evosearch.evolution.offspring": (f"{_EVOLUTION}/test_offspring.py", *_SEARCH),
    "evosearch.evolution.ranking": (f"{_EVOLUTION}/test_ranking.py", *_SEARCH),
    "evosearch.training.score": ("tests/evosearch/training/test_score.py", *_SEARCH),
    "evosearch.evolution.loop": tuple(
        f"{_EVOLUTION}/test_{name}.py" for name in ("pinned_history", "records", "loop")
    ),
}
"""Modules to change, and the tests that are to notice, the quickest to do so first."""

_LOADED: Final = ("torch", "hypothesis", "pytest", "_pytest.unittest", "evosearch.mutation.mutate")
"""What every mutant's process finds loaded; none of it knows a module in TARGETS."""
_CPU_SECONDS: Final = 60
"""What a mutant's tests may compute; all of them take ten. Some mutants never end."""
_WALL_SECONDS: Final = 3600
"""After which one that waits for ever is ended; a process that nobody lets compute takes long."""
_MEMORY: Final = 6 * 2**30
"""Bytes of address space that a mutant may take beyond what is loaded."""


@dataclass(frozen=True)
class Mutant:
    """One change of one module."""

    module: str
    where: str
    """The function that is changed."""
    before: str
    after: str
    number: int
    """Which of those that read the same in this function."""
    line: int
    place: int
    """Of the changed node among those of the module."""
    choice: int
    """Which of the node's changes."""

    @property
    def key(self) -> str:
        """What it is known by, wherever its line moves to."""
        again = f" (#{self.number + 1})" if self.number else ""
        return f"{self.module} {self.where}: {self.before} -> {self.after}{again}"


@dataclass(frozen=True)
class Fate:
    """What became of a mutant."""

    survived: bool
    by: str
    """The test that failed, or what else ended it; empty for a survivor."""
    seconds: float


_COMPARISONS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mod,
    ast.Mod: ast.FloorDiv,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.Pow: ast.Mult,
}
_CALLS: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}


def changes(node: ast.AST) -> Iterator[ast.AST]:  # noqa: PLR0912 - a table, read by match
    """Yield what may stand in a node's place."""
    match node:
        case ast.Compare(ops=[op]):
            for other in _COMPARISONS[type(op)]:
                yield _with(node, ops=[other()])
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in _OPERATORS:
            yield _with(node, op=_OPERATORS[type(op)]())
        case ast.BoolOp(op=op, values=values):
            yield _with(node, op=ast.And() if isinstance(op, ast.Or) else ast.Or())
            for i in range(len(values)):
                rest = values[:i] + values[i + 1 :]
                yield rest[0] if len(rest) == 1 else _with(node, values=rest)
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
            if value > 0:
                yield ast.Constant(value - 1)
        case ast.Constant(value=float(value)):
            yield ast.Constant(value + 1.0)
            yield ast.Constant(value / 2 if value else -1.0)
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            if not isinstance(test, ast.Constant | ast.Compare | ast.UnaryOp):
                yield _with(node, test=ast.UnaryOp(ast.Not(), test))
        case ast.comprehension(ifs=[_, *_] as tests):
            for i in range(len(tests)):
                yield _with(node, ifs=tests[:i] + tests[i + 1 :])
        case ast.Slice(lower=lower, upper=upper):
            for side in [name for name, bound in (("lower", lower), ("upper", upper)) if bound]:
                yield _with(node, **{side: None})
        case ast.Call(func=ast.Name(id=name)) if name in _CALLS:
            yield _with(node, func=ast.Name(_CALLS[name], ast.Load()))
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()
    if isinstance(node, ast.Call):
        for i, keyword in enumerate(node.keywords):
            if keyword.arg in ("key", "reverse"):
                yield _with(node, keywords=node.keywords[:i] + node.keywords[i + 1 :])
    if _omissible(node):
        yield ast.Pass()


def _omissible(node: ast.AST) -> bool:
    """Whether a statement can be left out without a name that is missed afterwards."""
    match node:
        case ast.Expr(value=ast.Constant()):
            return False  # a docstring
        case ast.Expr() | ast.AugAssign() | ast.Delete() | ast.Raise():
            return True
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript() | ast.Tuple() as target]):
            names = target.elts if isinstance(target, ast.Tuple) else []
            return not any(isinstance(name, ast.Name) for name in names)
    return False


def _with(node: ast.AST, **fields: Any) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _places(node: ast.AST, where: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Yield what may be changed, with the function that it is in.

    Left out are types, decorators, messages, and assertions, `strict` of a zip among them, which
    say what cannot be otherwise.
    """
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        where = f"{where}.{node.name}" if where else node.name
    yield where, node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        if isinstance(node, ast.keyword) and node.arg == "strict":
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.Assert | ast.JoinedStr):
                yield from _places(child, where)


def _text(node: ast.AST) -> str:
    """Return a node as source, on one line; of a compound statement its head."""
    if isinstance(node, ast.If | ast.While):
        return f"{type(node).__name__.lower()} {ast.unparse(node.test)}"
    return " ".join(ast.unparse(node).split())


def _source(module: str) -> Path:
    return ROOT / (module.replace(".", "/") + ".py")


def mutants(module: str, text: str | None = None) -> Iterator[Mutant]:
    """Yield all mutants of a module, as it is or as its text once was."""
    seen: Counter[tuple[str, str, str]] = Counter()
    tree = ast.parse(text or _source(module).read_text(encoding="utf-8"))
    for place, (where, node) in enumerate(_places(tree)):
        if isinstance(node, ast.Assign) and where.endswith("__init__"):
            continue  # left out, an attribute is missed at once: too easy to kill
        for choice, other in enumerate(changes(node)):
            reads = where, _text(node), _text(other)
            yield Mutant(module, *reads, seen[reads], getattr(node, "lineno", 0), place, choice)
            seen[reads] += 1


def keys_at(revision: str) -> set[str]:
    """Return the keys of all mutants that a revision of the repository had."""
    keys: set[str] = set()
    for module in TARGETS:
        path = _source(module).relative_to(ROOT)
        command = ["git", "show", f"{revision}:{path}"]
        text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        keys |= {mutant.key for mutant in mutants(module, text)}
    return keys


def code(mutant: Mutant) -> CodeType:
    """Compile a module with the mutant's change."""
    path = _source(mutant.module)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    old = next(node for place, (_, node) in enumerate(_places(tree)) if place == mutant.place)
    new = next(node for choice, node in enumerate(changes(old)) if choice == mutant.choice)

    class Swap(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            return new if node is old else self.generic_visit(node)

    changed = ast.fix_missing_locations(Swap().visit(tree))
    return compile(changed, str(path), "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    """Finds one module changed, and leaves the others to those after it."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        assert spec is not None
        changed = code(self._mutant)

        class Loader(SourceFileLoader):
            def get_code(self, fullname: str) -> CodeType:
                del fullname
                return changed

        spec.loader = Loader(fullname, str(spec.origin))
        return spec


class _Failure:
    """A plugin of pytest that keeps the first test that fails."""

    name = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.name:
            self.name = report.nodeid.rpartition("/")[2]


def examine(mutant: Mutant | None, tests: Sequence[str]) -> Fate:
    """Run tests in a process of its own, where a mutant, if any, is in its module's place."""
    start = time.monotonic()
    end, pipe = os.pipe()
    process = os.fork()
    if not process:
        os.close(end)
        try:
            _run(mutant, tests, pipe)
        finally:
            os._exit(1)  # nothing of the parent may run here
    os.close(pipe)
    answered = select.select([end], [], [], _WALL_SECONDS)[0]
    if not answered:
        os.kill(process, signal.SIGKILL)
    with os.fdopen(end) as answer:
        word = answer.read()
    _, status = os.waitpid(process, 0)
    seconds = round(time.monotonic() - start, 1)
    if os.WIFSIGNALED(status):
        return Fate(False, f"ended by {signal.Signals(os.WTERMSIG(status)).name}", seconds)
    outcome, _, by = word.partition(" ")
    if outcome == "0":
        return Fate(True, "", seconds)
    return Fate(False, by or "an import that fails", seconds)


def _run(mutant: Mutant | None, tests: Sequence[str], pipe: int) -> None:
    """Run tests, and say what came of them; this is a mutant's process."""
    import pytest

    loaded = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for limit, value in (
        (resource.RLIMIT_CPU, _CPU_SECONDS),
        (resource.RLIMIT_AS, loaded + _MEMORY),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    if mutant is not None:
        sys.meta_path.insert(0, _Finder(mutant))
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # to load them takes longer than most tests
    failure = _Failure()
    options = ["-x", "-q", "-p", "no:cacheprovider", "--tb=no", f"--rootdir={ROOT}"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # loaded before: faster
    status = pytest.main([*options, *tests], plugins=[failure])
    os.write(pipe, f"{int(status)} {failure.name}".encode())


def _load() -> None:
    os.chdir(ROOT)
    for name in _LOADED:
        importlib.import_module(name)
    early = [module for module in TARGETS if module in sys.modules]
    if early:
        raise SystemExit(f"expected to load no module that is changed, but {early} were")


class Results:
    """What became of mutants, in a file that grows with each; the text of a module is part of it.

    Those that survived are tried again: a test may have been written since.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fates: dict[str, Fate] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                key = row.pop("mutant")
                self._fates[key] = Fate(**row)

    def killed(self, mutant: Mutant) -> Fate | None:
        """Return how a mutant was killed, or None where none was or it survived."""
        fate = self._fates.get(self._key(mutant))
        return fate if fate is not None and not fate.survived else None

    def add(self, mutant: Mutant, fate: Fate) -> None:
        """Keep a fate."""
        key = self._key(mutant)
        self._fates[key] = fate
        self._path.parent.mkdir(exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"mutant": key, **asdict(fate)}) + "\n")

    def _key(self, mutant: Mutant) -> str:
        text = _source(mutant.module).read_bytes()
        return f"{hashlib.sha256(text).hexdigest()[:12]} {mutant.key}"


def page(drawn: Sequence[tuple[Mutant, Fate]], every: Sequence[Mutant], seed: int) -> str:
    """Return what was found as Markdown."""
    reasons = tomllib.loads(REASONS.read_text(encoding="utf-8"))
    survivors = [mutant for mutant, fate in drawn if fate.survived]
    survivors.sort(key=lambda mutant: (tuple(TARGETS).index(mutant.module), mutant.line))
    lines = [
        "# Mutants of the search's core",
        "",
        "A mutant is one small change of one line. The tests should notice it; where they do not,",
        "the change means nothing, or the reason is given. This page is written by",
        "`python -m benchmarks.mutants`, which makes the mutants and runs the tests.",
        "",
        f"Of {len(every)} mutants {len(drawn)} were drawn with seed {seed}; "
        f"{len(survivors)} of them survived.",
        "",
        "| module | possible | drawn | survived |",
        "|---|---|---|---|",
    ]
    for module in TARGETS:
        possible = sum(mutant.module == module for mutant in every)
        taken = [fate for mutant, fate in drawn if mutant.module == module]
        survived = sum(fate.survived for fate in taken)
        lines.append(f"| `{module}` | {possible} | {len(taken)} | {survived} |")
    lines += ["", "## Survivors", "", "| where | change | why no test notices |", "|---|---|---|"]
    for mutant in survivors:
        place = f"{mutant.module.rpartition('.')[2]}, line {mutant.line}"
        change = f"`{mutant.before}` to `{mutant.after}`".replace("|", "\\|")
        where = f", `{mutant.where}`" if mutant.where else ""
        reason = reasons.get(mutant.key, "**no reason is known**")
        lines.append(f"| {place}{where} | {change} | {reason} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="those whose key contains this; writes no page")
    parser.add_argument(
        "--since", metavar="REV", help="those that a revision did not have; writes no page"
    )
    parser.add_argument("--list", action="store_true", help="print the mutants and stop")
    parser.add_argument("--results", type=Path, default=ROOT / "build" / "mutants.jsonl")
    options = parser.parse_args()
    every = [mutant for module in TARGETS for mutant in mutants(module)]
    in_order = random.Random(options.seed).sample(every, len(every))
    known = keys_at(options.since) if options.since else set[str]()
    asked = [m for m in in_order if options.only in m.key and m.key not in known]
    sample = asked[: options.count]  # in the order drawn: the first of them are a sample too
    if options.list:
        print("\n".join(mutant.key for mutant in sample))
        return 0
    _load()
    tests = tuple(dict.fromkeys(test for mutant in sample for test in TARGETS[mutant.module]))
    if not (fate := examine(None, tests)).survived:
        raise SystemExit(f"expected tests that pass without a mutant, but {fate.by} fails")
    results = Results(options.results)
    drawn: list[tuple[Mutant, Fate]] = []
    for mutant in sample:
        fate = results.killed(mutant)
        if fate is None:
            fate = examine(mutant, TARGETS[mutant.module])
            results.add(mutant, fate)
            what = "SURVIVED" if fate.survived else f"killed by {fate.by}"
            print(
                f"{len(drawn) + 1}/{len(sample)} {fate.seconds} s {mutant.key}: {what}", flush=True
            )
        drawn.append((mutant, fate))
    print(f"{sum(fate.survived for _, fate in drawn)} of {len(drawn)} survived")
    if options.only or options.since:
        return 0
    PAGE.write_text(text := page(drawn, every, options.seed), encoding="utf-8")
    return 1 if "no reason is known" in text else 0


if __name__ == "__main__":
    sys.exit(main())
