"""The record of discoveries: what is written, and that writing it twice changes nothing."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace

import pytest
import torch
from told_scores import Teller, told_run

from evosearch.language.known import known
from evosearch.studies.discoveries.publish import main, regenerate
from evosearch.studies.promote import BASELINES
from evosearch.studies.scale.summary import (
    Correlation,
    ScaleRow,
    ScaleSummary,
    SearchedTasks,
    Speedup,
)

ADAMW = str(known("adamw"))
BLOATED_LION = """\
def found(w, g, m):
    c = lerp(m, g, 0.3)
    z = c * 2.0
    u = sign(z)
    m = lerp(m, g, 0.02)
    return u, m
"""


@pytest.fixture
def folder(tmp_path):
    teller = Teller({ADAMW: 0.0, BLOATED_LION: 0.5})
    told_run(tmp_path / "run", [[ADAMW, BLOATED_LION]], teller)
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def discover(folder, *options):
    return main(["--folder", str(folder), "add", "lion", str(folder.parent / "run"), "1", *options])


def files_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def promotion_of(program, better):
    findings = [
        {
            "finalist": "it",
            "baseline": baseline,
            "split": split,
            "ahead": 0.2,
            "ahead_se": 0.03,
            "pairs": 8,
            "p": 0.001 if better else 0.2,
            "p_holm": 0.003 if better else 0.6,
            "better": better,
        }
        for split in ("select", "held-out")
        for baseline in BASELINES
    ]
    return {
        "seed": 0,
        "seeds": 8,
        "look": 3,
        "settings": ["tasks.digits_vit.batch=4"],
        "splits": {"select": ["digits_conv"], "held-out": ["digits_vit"]},
        "programs": {"it": program, "another": ADAMW},
        "totals": {"it": {s: {"score": 0.2, "score_se": 0.01} for s in ("select", "held-out")}},
        "scores": {"it": {"digits_conv": [0.2], "digits_vit": [0.2]}},
        "tests": findings,
    }


def test_a_discovery_is_a_class_that_works(folder):
    assert discover(folder, "--note", "A note.") == 0
    spec = importlib.util.spec_from_file_location("found_lion", folder / "lion.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["found_lion"] = module
    spec.loader.exec_module(module)
    w = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    w.grad = torch.tensor([3.0, -4.0])
    module.Lion([w], lr=0.5).step()
    assert w.tolist() == [0.5, -1.5]


def test_the_provenance_says_where_it_comes_from(folder):
    discover(folder)
    record = json.loads((folder / "lion.json").read_text())
    assert record["candidate"]["genome"] == BLOATED_LION
    assert record["export"]["program"].startswith("def lion(")
    assert "sign" in record["export"]["program"]
    assert " * 2.0" not in record["export"]["program"]
    assert record["run"]["manifest"]["config"]["start"] == "adamw"
    assert [row["id"] for row in record["lineage"]] == [1]
    assert len(record["run"]["digest"]) == 64


def test_writing_again_changes_nothing(folder):
    discover(folder)
    before = files_of(folder)
    assert set(before) == {"lion.json", "lion.py", "README.md"}
    assert main(["--folder", str(folder)]) == 0
    assert files_of(folder) == before


def test_the_table_names_undecided_results(folder, tmp_path):
    for better, word in ((True, "**better**"), (False, "undecided")):
        path = tmp_path / "promotion.json"
        path.write_text(json.dumps(promotion_of(BLOATED_LION, better)))
        assert discover(folder, "--promotion", str(path)) == 0
        page = (folder / "README.md").read_text()
        assert page.count(word) == 2 * len(BASELINES)
        assert "look 3 at tasks that searches do not see" in page
        assert "Holm over 6 comparisons" in page
        assert "with `tasks.digits_vit.batch=4`" in page
        assert 'finalist"' not in (folder / "lion.json").read_text()


def test_a_promotion_of_something_else_is_refused(folder, tmp_path, capsys):
    path = tmp_path / "promotion.json"
    path.write_text(json.dumps(promotion_of("def x(w, g):\n    return g\n", better=False)))
    assert discover(folder, "--promotion", str(path)) == 2
    assert "expected the program once" in capsys.readouterr().err


def test_an_empty_record_is_an_empty_package(tmp_path):
    regenerate(tmp_path)


def test_the_page_has_a_section_for_each_scale_test(folder):
    discover(folder)
    row = ScaleRow(
        program="",
        baseline=True,
        tuning=(),
        best=0,
        edge=False,
        curves=((3.0, 1.9), (3.0, 2.1)),
        score=(0.0, 0.0),
        end=(2.0, 0.1),
        difference=(0.0, 0.0),
        speedup={"1": Speedup(1.0, True, (1.0, 1.0))},
        search=(0.0, 0.01),
        search_scores={},
    )
    worse = replace(
        row,
        baseline=False,
        edge=True,
        curves=((3.0, 2.2), (3.0, 2.4)),
        score=(-0.1, 0.0),
        difference=(0.3, 0.02),
        speedup={"1": Speedup(0.7, False, (0.6, 0.8))},
    )
    scale = ScaleSummary(
        task="large",
        parameters=9,
        steps=8,
        search=SearchedTasks(("digits_mlp",), "nats", 3, 4),
        seed=0,
        seeds=5,
        trials=7,
        core_seconds=120,
        evaluated_after=(4, 8),
        optimizers={"adamw": row, "lion": worse},
        rank_correlation=Correlation(-0.5, (-1.0, 0.5), 2),
        look=3,
    )
    (folder / "scale").mkdir()
    (folder / "scale" / "large.json").write_text(json.dumps(scale.to_json()))
    assert main(["--folder", str(folder)]) == 0
    page = (folder / "README.md").read_text()
    assert "search: the log of nats, on digits_mlp" in page
    assert page.index("## lion") < page.index("## Scale test")
    assert "| lion      | 2.0000 ± 0.1000 | +0.3000 ± 0.0200 | <0.70 (0.60 to 0.80) |" in page
    assert "9 parameters, 3 times the search's; 8 steps, 2 times the search's" in page
    assert "Against adamw, the best of the baselines" in page
    assert "nobody ends lower beyond the error" in page
    assert "-0.50, 95 % interval -1.00 to +0.50" in page
    before = files_of(folder)
    assert main(["--folder", str(folder)]) == 0
    assert files_of(folder) == before


def test_a_file_of_another_form_is_named(folder, capsys):
    discover(folder)
    (folder / "studies").mkdir()
    (folder / "studies" / "lion.json").write_text('{"target": "lion"}')
    assert main(["--folder", str(folder)]) == 2
    assert "lion.json to hold a StudySummary" in capsys.readouterr().err
