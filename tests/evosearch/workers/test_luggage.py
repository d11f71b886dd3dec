"""What travels to a cluster: task files and small data, and how a worker finds them there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from evosearch.config.schema import preset
from evosearch.workers import luggage
from proxy_tasks.data.cache import CARRIED, PLACES, located
from proxy_tasks.user_tasks import VARIABLE


@pytest.fixture
def here(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (VARIABLE, PLACES, CARRIED):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "trunk").mkdir()
    return tmp_path


def test_nothing_travels_unless_there_is_something(here: Path) -> None:
    assert luggage.pack(preset("smoke"), here / "trunk") == {}
    assert list((here / "trunk").iterdir()) == []


def test_task_files_and_small_data_travel_and_are_found_there(here: Path, monkeypatch) -> None:
    (here / "mine.py").write_text("TASKS = {}")
    (here / "other").mkdir()
    (here / "other" / "mine.py").write_text("TASKS = {'x': 1}")
    (here / "my.txt").write_text("words " * 100)
    monkeypatch.setenv(VARIABLE, f"mine.py{os.pathsep}other/mine.py")
    config = preset("smoke", ["tasks.char_lm.path=my.txt"], ["char_lm"])
    runtime = luggage.pack(config, here / "trunk")
    assert runtime["working_dir"] == str(here / "trunk")

    monkeypatch.chdir(here / "trunk")  # as a worker's folder is
    for name, value in runtime["env_vars"].items():
        monkeypatch.setenv(name, value)
    files = [Path(name) for name in os.environ[VARIABLE].split(os.pathsep)]
    assert [file.name for file in files] == ["mine.py", "mine.py"]
    assert [file.read_text() for file in files] == ["TASKS = {}", "TASKS = {'x': 1}"]
    assert located("my.txt").read_text() == "words " * 100
    assert located("/elsewhere") == Path("/elsewhere")


def test_large_data_stay_and_a_machine_says_where_it_has_them(here: Path, monkeypatch) -> None:
    monkeypatch.setattr(luggage, "_SMALL", 10)
    (here / "big.txt").write_text("0123456789a")
    config = preset("smoke", ["tasks.char_lm.path=big.txt"], ["char_lm"])
    assert luggage.pack(config, here / "trunk") == {}
    monkeypatch.setenv(PLACES, f"a=b{os.pathsep}big.txt=/scratch/big.txt")
    assert located("big.txt") == Path("/scratch/big.txt")
    monkeypatch.setenv(CARRIED, json.dumps({"big.txt": "data/0/big.txt"}))
    assert located("big.txt") == Path("data/0/big.txt")
