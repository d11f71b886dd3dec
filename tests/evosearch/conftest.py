"""The command line run in this process, and one finished run that all tests may read."""

import json
from pathlib import Path

import pytest
from cli_runs import SETTINGS
from typer.testing import CliRunner

from evosearch.cli.main import app
from evosearch.config.schema import preset
from evosearch.runs.run import Run


@pytest.fixture(scope="session")
def evosearch():
    """Run a command and return its result: exit_code, stdout, stderr."""
    runner = CliRunner()

    def run(*words, code=0, stdin=None):
        result = runner.invoke(app, [str(word) for word in words], input=stdin)
        assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
        return result

    return run


@pytest.fixture(scope="session")
def as_json(evosearch):
    """Run a command with --json and return what it printed, which must be strict JSON."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    def run(*words, code=0):
        return json.loads(evosearch(*words, "--json", code=code).stdout, parse_constant=refuse)

    return run


@pytest.fixture(scope="session")
def small_run(tmp_path_factory) -> Path:
    """The directory of a finished run; tests only read it."""
    directory = tmp_path_factory.mktemp("runs") / "small"
    Run.create(directory, preset("smoke", SETTINGS)).search()
    return directory
