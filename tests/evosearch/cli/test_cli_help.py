import subprocess
import sys
from importlib import metadata

import pytest

from evosearch.cli.main import app

HEAVY = ("torch", "ray", "sympy", "sklearn", "scipy", "pyarrow", "numpy", "pandas")
COMMANDS = [command.callback.__name__ for command in app.registered_commands]


def loaded_by(*commands):
    """Return which of the heavy packages some commands load, in a fresh interpreter."""
    code = f"""
import sys
import evosearch
from evosearch.cli import main

for words in {commands!r}:
    sys.argv = ["evosearch", *words]
    try:
        main()
    except SystemExit as end:
        assert not end.code
print(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stderr.split()


def test_import_and_help_load_nothing_heavy():
    assert loaded_by(("--help",), ("search", "--help")) == []


def test_reading_a_run_loads_no_torch(small_run):
    """Columns of a large run are read by pyarrow, which loads pandas too where there is one."""
    loaded = loaded_by(("status", str(small_run)), ("top", str(small_run)))
    assert not set(loaded) - {"numpy", "pandas", "pyarrow"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_examples_and_json(evosearch, command):
    text = evosearch(command, "--help").stdout
    assert "--json" in text
    _, _, examples = text.partition("Examples:\n")
    assert examples.splitlines()[0].startswith(f"    evosearch {command}")


def test_the_examples_are_commands_that_exist(evosearch):
    for line in evosearch("--help").stdout.splitlines():
        if line.startswith("    evosearch "):
            assert line.split()[1] in COMMANDS


def test_the_public_names_exist():
    import evosearch as package

    assert len(package.__all__) == len(set(package.__all__))
    for name in package.__all__:
        assert getattr(package, name) is not None
    assert set(package.__all__) <= set(dir(package))
    assert package.__version__ == metadata.version("evosearch")
    with pytest.raises(AttributeError, match="nonsense"):
        _ = package.nonsense


def test_the_version_is_that_of_the_installation(evosearch):
    assert evosearch("--version").stdout.strip() == f"evosearch {metadata.version('evosearch')}"


def test_the_module_runs():
    command = [sys.executable, "-m", "evosearch", "primitives", "lerp"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "lerp(x, y, RATE)" in done.stdout
