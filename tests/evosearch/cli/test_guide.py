"""What README and guide tell people to type exists, and the guide's Python runs as it stands."""

import re
from pathlib import Path

import pytest
import torch

from evosearch.language.known import known
from evosearch.language.parse import parse_rules

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
COMMAND = re.compile(r"^    (?:\.venv/bin/)?evosearch (\w+)(.*)$", re.MULTILINE)


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md"])
def test_commands_and_options_exist(evosearch, page):
    found = COMMAND.findall((ROOT / page).read_text(encoding="utf-8"))
    assert len(found) > 5
    for command, rest in found:
        text = evosearch(command, "--help").stdout
        for option in re.findall(r"(?<=\s)--?[a-z][\w-]*", rest.replace("[", " ")):
            assert option in text, (command, option)


def test_the_program_of_the_guide_is_one():
    (block,) = re.findall(r"^    def cautious.*?(?=\n\n)", GUIDE, re.MULTILINE | re.DOTALL)
    rules = parse_rules("\n".join(line[4:] for line in block.splitlines()))
    assert len(rules.matrix.states) == len(known("signum").matrix.states)


@pytest.mark.slow
def test_the_python_of_the_guide_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL):
        exec(compile(block, "docs/guide.md", "exec"), scope)
    printed = capsys.readouterr().out
    assert {"lion", "signed"} <= {line.partition(" ")[0] for line in printed.splitlines()}
    assert isinstance(scope["optimizer"], torch.optim.Optimizer)


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", GUIDE):
        assert (ROOT / "docs" / target).exists(), target
