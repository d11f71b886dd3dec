"""A run as Arrow tables: complete, as documented, and open to pandas and DuckDB."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from evosearch.runs.run import Run
from evosearch.storage.parquet import TABLES, table_schema

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_programs_are_all_candidates_with_documented_columns(small_run):
    run = Run.open(small_run)
    table = run.programs()
    assert table.schema.equals(table_schema("candidates"))
    assert all(field.metadata[b"doc"] for field in table.schema)
    for row in table.to_pylist():
        candidate = run.candidate(row["id"])
        assert row["program"] == candidate.program_text
        assert row["score"] == candidate.score
    assert len(table) == len(run.history.candidates)


def test_evaluations_of_a_candidate_are_its_rows_among_all(small_run):
    run = Run.open(small_run)
    whole = run.evaluations()
    assert whole.schema.names == list(TABLES["evaluations"])
    found = 0
    for id_, candidate in run.history.candidates.items():
        rows = run.evaluations(id_).to_pylist()
        assert rows == [row for row in whole.to_pylist() if row["candidate"] == id_]
        best = {(r["task"], r["replicate"]): r["value"] for r in rows if r["best"]}
        assert best == {(m.task, m.replicate): m.value for m in candidate.measurements}
        found += len(rows)
    assert found == len(whole) > 0
    assert len(run.evaluations(10**6)) == 0


def test_the_lineage_is_a_candidate_and_its_ancestors(small_run):
    run = Run.open(small_run)
    best = run.top(1)[0]
    assert run.lineage(best.id) == run.history.ancestors(best.id)


def test_the_recipes_for_pandas_and_duckdb_run(small_run, monkeypatch):
    pytest.importorskip("pandas", reason="pandas is not installed: pip install pandas")
    pytest.importorskip("duckdb", reason="DuckDB is not installed: pip install duckdb")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    recipes = import_module("query_run")
    run = Run.open(small_run)
    edits = recipes.with_pandas(run)
    assert edits["count"].sum() == sum(c.score is not None for c in run.history.candidates.values())
    (row,) = recipes.with_duckdb(str(small_run)).to_dict("records")
    assert row["task"] == "digits_mlp"
    assert row["candidates"] == len({r["candidate"] for r in run.evaluations().to_pylist()})


def test_what_a_notebook_shows_needs_no_notebook(small_run):
    """Programs and candidates are shown by other modules, which are loaded when they are asked."""
    code = (
        "import sys; from evosearch.language.known import known\n"
        "rules = known('lion'); assert 'evosearch.language.mathml' not in sys.modules\n"
        "assert '<math' in rules._repr_html_()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    shown = Run.open(small_run).top(1)[0]._repr_html_()
    assert "<math" in shown
    assert "digits_mlp" in shown
