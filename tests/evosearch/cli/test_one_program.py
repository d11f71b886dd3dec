"""Whoever asks for a candidate's program gets the same one, whatever shows it."""

import csv
import json
import shutil

import pytest

from evosearch.export import export
from evosearch.runs.run import Run
from evosearch.storage.journal import read
from evosearch.storage.seal import candidates


@pytest.fixture(scope="module")
def run(small_run):
    return Run.open(small_run)


@pytest.fixture(scope="module")
def everybody(run):
    found = list(run.history.candidates.values())
    assert len(found) == 16
    assert any(c.program_text != c.genome_text for c in found), "both must not be the same program"
    return found


@pytest.fixture(scope="module")
def some(everybody):
    """A few of them: the first, and those whose genome is not their program."""
    different = [c for c in everybody if c.program_text != c.genome_text]
    return [everybody[0], *different[:4]]


def body(text):
    """A program's lines but for the first, which has its name, and comments before it."""
    return text[text.index("def ") :].rstrip().splitlines()[1:]


def section(text, title):
    """What `show` prints below a title, without its indentation."""
    lines = text.split(f"\n{title}:\n\n")[1].split("\n\nEquations")[0].splitlines()
    return "\n".join(line[2:] for line in lines)


def test_python_json_parquet_and_the_journal_agree(run, everybody, as_json):
    rows = {row["id"]: row for row in candidates(run.directory).to_pylist()}
    evaluated, bred = {}, {}
    for record in read(run.directory):
        for row in record.body["candidates"] if record.kind == "pack" else ():
            evaluated[row["id"]], bred[row["id"]] = row["canonical"], row["program"]
    listed = {row["id"]: row for row in as_json("top", run.directory, "-n", 16)}
    for candidate in everybody:
        ours = (str(candidate.program), str(candidate.genome))
        assert ours == (candidate.program_text, candidate.genome_text)
        assert ours == (evaluated[candidate.id], bred[candidate.id])
        facts = candidate.to_json()
        for shown in (facts, rows[candidate.id], listed.get(candidate.id, facts)):
            assert (shown["program"], shown["genome"]) == ours
            assert not {"text", "canonical", "stripped"} & set(shown)
    assert len(listed) > 8


def test_the_hall_of_fame_agrees(run):
    fame = json.loads((run.directory / "hall_of_fame.json").read_text())["candidates"]
    with (run.directory / "hall_of_fame.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    for row in (*fame, *table):
        candidate = run.candidate(int(row["id"]))
        assert row["program"] == candidate.program_text
        assert row["genome"] == candidate.genome_text


def test_show_agrees(run, some, as_json, evosearch):
    for candidate in some:
        where = (run.directory, candidate.id)
        facts = as_json("show", *where)
        assert facts["program"] == candidate.program_text
        assert facts["genome"] == candidate.genome_text
        text = evosearch("show", *where).stdout
        assert body(section(text, "Program")) == body(candidate.program_text)
        size = f"{candidate.program.size} that matter, of {candidate.genome.size} in its genome"
        assert size in text
        text = evosearch("show", *where, "--genome").stdout
        assert body(section(text, "Genome")) == body(candidate.genome_text)


def test_export_agrees(run, some, as_json):
    for candidate in some:
        place = (run.directory, candidate.id)
        text = as_json("export", *place, "--format", "text")["text"]
        assert body(text) == body(candidate.program_text)
        data = json.loads(as_json("export", *place, "--format", "json")["text"])
        assert body(data["program"]) == body(candidate.program_text)
        torch_file = as_json("export", *place, "--name", "found")["text"]
        lr, rest_lr = candidate.rates
        of_program = export(candidate.program, name="found", found=(lr, rest_lr))
        assert torch_file[torch_file.index("def ") :] == of_program[of_program.index("def ") :]


def test_simplify_begins_with_it(run, some, as_json, tmp_path):
    directory = shutil.copytree(run.directory, tmp_path / "run")
    for candidate in some:
        words = ("simplify", directory, candidate.id)
        assert as_json(*words)["original"] == candidate.program_text
        assert as_json(*words, "--genome")["original"] == candidate.genome_text
        kept = json.loads((directory / "certificates" / f"{candidate.id}.json").read_text())
        assert kept["original"] == candidate.program_text


def test_diff_agrees(run, some, as_json):
    file = run.directory.parent / "other.py"
    file.write_text("def other(w, g):\n    u = sqrt(g)\n    return u\n")
    for candidate in some:
        lines = as_json("diff", f"{run.directory}:{candidate.id}", file)["diff"]
        first = [line[1:] for line in lines["Hidden matrices"][3:] if line[0] != "+"]
        assert first == str(candidate.program.matrix.renamed("rule")).splitlines()


def test_the_report_agrees(run, evosearch, tmp_path):
    page = tmp_path / "page.html"
    evosearch("report", run.directory, "-o", page)
    text = page.read_text()
    for candidate in run.top(3):
        assert str(candidate.program.renamed(candidate.name)).rstrip() in text
