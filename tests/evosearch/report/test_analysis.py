"""Findings of a run, against what its journal says."""

from evosearch.report.analysis import change, yields
from evosearch.report.render import render
from evosearch.runs.excerpt import later
from evosearch.runs.progress import score_text
from evosearch.runs.run import Run
from evosearch.storage.journal import read
from evosearch.training.score import mean_score


def test_later_seeds_are_those_of_re_evaluations(small_run):
    run = Run.open(small_run)
    scores: dict[int, list[float]] = {}
    for record in read(small_run):
        for row in record.body["candidates"] if record.kind == "confirm" else ():
            scores.setdefault(row["id"], []).extend(r["score"] for r in row["results"])
    assert scores
    for id_, candidate in run.history.candidates.items():
        score = later(run, candidate)
        assert score == (mean_score(scores[id_]) if id_ in scores else None)
        if score:
            assert score_text(score.mean, score.se) in render(run)


def test_a_change_is_what_turns_the_parent_into_the_child(small_run):
    run = Run.open(small_run)
    assert change(run, run.candidate(0)) == ""
    for candidate in run.history.candidates.values():
        if candidate.parents:
            lines = change(run, candidate).splitlines()
            parent = run.candidate(candidate.parents[0]).program_text
            for line in lines:
                if line[0] in "+-":
                    assert line[2:] in (candidate.program_text if line[0] == "+" else parent)
            assert (lines == ["nothing that matters"]) == (parent == candidate.program_text)


def test_every_child_counts_once_for_each_of_its_edits(small_run):
    run = Run.open(small_run)
    children = [c for c in run.history.candidates.values() if c.parents]
    expected: dict[str, list] = {}
    for child in children:
        for edit in {edit.partition(" in ")[0] for edit in child.mutation.split(", ")}:
            expected.setdefault(edit, []).append(child)
    found = yields(run)
    assert found.keys() == expected.keys()
    assert len(expected) > 3
    for edit, made in expected.items():
        scored = [c for c in made if c.score is not None]
        better = [c for c in scored if c.rank > run.candidate(c.parents[0]).rank]
        y = found[edit]
        assert (y.children, y.scored, y.better) == (len(made), len(scored), len(better))
