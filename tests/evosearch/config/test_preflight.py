"""Tasks are tried before a search: what is wrong with them, and whether they are what they were."""

from __future__ import annotations

import pytest
import torch
from small_tasks import Regression

from evosearch.config.preflight import check_task, check_tasks, require_same
from evosearch.config.schema import preset
from evosearch.errors import DataError
from evosearch.runs.run import Run
from proxy_tasks import registry
from proxy_tasks.data.corpus import corpus
from proxy_tasks.task import Split


@pytest.fixture
def own(monkeypatch):
    """Register a task as if it were the user's."""
    spec = registry.TaskSpec("regression", Split.SEARCH, Regression())
    monkeypatch.setattr(registry, "TASKS", registry.TASKS | {"regression": spec})


def exits(*_):
    raise SystemExit(3)


WRONG = {
    "a scalar": (lambda _, w, __: w["first"].mean(), r"shape \(L,\), found shape \(\)"),
    "a value for each example": (lambda _, __, b: b[0].sum(2), r"found shape \(2, \d\d\)"),
    "no number": (lambda *_: torch.full((2,), torch.nan), r"finite at the initial weights"),
    "an exit": (exits, r"asked to exit \(3\)"),
    "a bug": (lambda *_: {}["x"], r"raised KeyError: 'x'"),
}


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("case", WRONG)
def test_a_task_that_is_none_is_told_what_is_wrong(monkeypatch, case):
    method, message = WRONG[case]
    assert check_task("regression", {})["code"] is None
    for name in ("loss", "evaluate"):
        with monkeypatch.context() as broken:
            broken.setattr(Regression, name, method)
            with pytest.raises(DataError, match=message):
                check_task("regression", {})


def test_an_imprint_is_the_same_until_data_code_or_losses_change():
    now = check_task("digits_mlp", {})
    require_same("digits_mlp", now, check_task("digits_mlp", {}), "this run")
    for other, message in (
        ({**now, "data": "0" * 64}, "its data: 000000000000... then"),
        ({**now, "code": "f" * 64}, "its code: ffffffffffff... then, none now"),
        ({**now, "losses": [2 * x for x in now["losses"]]}, "its losses at the initial weights"),
    ):
        with pytest.raises(DataError, match=message):
            require_same("digits_mlp", other, now, "this run")
    rounded = {**now, "losses": [x * (1 + 1e-5) for x in now["losses"]]}
    require_same("digits_mlp", rounded, now, "this run")


def test_a_run_whose_text_was_exchanged_is_refused(tmp_path):
    text = tmp_path / "my.txt"
    text.write_text("def f(x):\n    return x + 1\n" * 5000)
    settings = [
        f"tasks.char_lm.path={text}", "tasks.char_lm.steps=3", "tasks.char_lm.windows=2",
        "budget.evaluations=2", "budget.pack=1", 'baseline.betas=[[0.9,0.99]]',
        "baseline.weight_decay=[0.0]", "elites.final=1", "elites.rounds=1",
    ]  # fmt: skip
    config = preset("smoke", settings, ["char_lm"])
    run = Run.create(tmp_path / "run", config)

    def stop(history):
        if history.baselines:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.search(observe=stop)
    before = run.digest()
    task = str(config.task("char_lm"))
    assert Run.open(run.directory).history.baselines[task].imprint == check_tasks(config)[task]
    text.write_text("another text, of another kind. " * 5000)
    corpus.cache_clear()
    with pytest.raises(DataError, match=r"is not what this run compares with: its data: \w{12}"):
        run.search()
    assert run.digest() == before
    text.write_text("def f(x):\n    return x + 1\n" * 5000)
    corpus.cache_clear()
    assert run.search().state == "finished"
