"""Commands about one program, wherever it comes from."""

import html
import math
import re
import shutil

import pytest
import torch

from evosearch.config.schema import preset
from evosearch.equivalence.fingerprint import fingerprint
from evosearch.language.known import known
from evosearch.language.library import LIBRARY
from evosearch.language.parse import parse_rules
from evosearch.runs.run import Run
from evosearch.studies import ablate
from evosearch.studies.noninferiority import cheap_tasks

FORMED = [name for name, row in LIBRARY.items() if row.form]
"""What is recognized with any constants."""

FAST = ("--trials=6", "--seeds=2")
"""A comparison of a second instead of ten."""


@pytest.fixture
def lion_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(str(known("lion")).replace("lion", "mine"))
    return file


def test_a_candidate_is_shown_in_full(evosearch, as_json, small_run):
    run = Run.open(small_run)
    best = run.top(1)[0]
    text = evosearch("show", small_run, best.id).stdout
    shown = str(best.program.renamed(best.name))
    for line in (*shown.splitlines(), "digits_mlp", "Lineage:", "u_t = "):
        assert line in text
    facts = as_json("show", small_run, best.id)
    assert facts["program"] == best.program_text
    assert facts["score"] == best.score
    assert facts["tasks"]["digits_mlp"]["score"] == pytest.approx(best.score)
    assert facts["lineage"][0] == best.id
    assert facts["lineage"][-1] == 0
    assert as_json("show", f"{small_run}:{best.id}") == as_json("show", small_run) == facts


def test_top_marks_what_to_use_and_says_why(evosearch, as_json, small_run):
    run = Run.open(small_run)
    chosen = run.recommend()
    first, _, title, *lines = evosearch("top", small_run).stdout.splitlines()
    assert first == f"Use candidate {chosen.candidate.id}: {chosen.reason}."
    assert title.startswith("The front")
    marked = [line.split()[1] for line in lines if line.startswith(">")]
    assert marked == [str(chosen.candidate.id)] * (chosen.candidate in run.front())
    rows = as_json("top", small_run)
    assert [row["id"] for row in rows if row["recommended"]] == [chosen.candidate.id]


def test_the_valley_of_learning_rates_is_drawn(evosearch, small_run):
    """One bar a rate; the tallest is the rate with the lowest end value."""
    run = Run.open(small_run)
    best = run.top(1)[0]
    (line,) = [x for x in evosearch("show", small_run, best.id).stdout.splitlines() if "█" in x]
    (bars,) = re.findall("[▁▂▃▄▅▆▇█x]{3,}", line)
    trials = run.evaluations(best.id).to_pylist()
    rates = sorted({trial["learning_rate"] for trial in trials})
    assert len(bars) == len(rates)
    ends = {}
    for trial in trials:
        key = trial["learning_rate"], trial["rest_learning_rate"]
        ends.setdefault(key, []).append(math.inf if trial["value"] is None else trial["value"])
    rate, _ = min(ends, key=lambda key: sum(ends[key]) / len(ends[key]))
    assert bars[rates.index(rate)] == "█"


def test_a_file_a_name_and_standard_input_mean_the_same(evosearch, as_json, lion_file):
    by_name = as_json("show", "lion")
    by_file = as_json("show", lion_file)
    piped = evosearch("show", "-", stdin=lion_file.read_text()).stdout
    name = "Lion with β = (0.9, 0.99)"
    assert by_file["recognized"] == by_name["recognized"] == name
    assert name in piped
    latex = [line["latex"] for line in by_name["equations"]["lion"]]
    assert latex == [
        "m_t = 0.01 g_t + 0.99 m_{t-1}",
        r"u_t = \operatorname{sign}{\left(0.1 g_t + 0.9 m_{t-1} \right)}",
    ]


@pytest.mark.parametrize("name", FORMED)
def test_what_is_recognized_is_shown_under_its_name(as_json, name):
    facts = as_json("show", name)
    assert facts["recognized"].startswith(LIBRARY[name].title)
    assert parse_rules(facts["program"]) == known(name)
    assert [rule[-1]["sympy"].split()[0] for rule in facts["equations"].values()] == ["update"]


def test_redundant_statements_are_told_apart(evosearch, tmp_path):
    file = tmp_path / "long.py"
    file.write_text("def long(w, g, m):\n    x = square(g)\n    m = abs(x)\n    return g, m\n")
    text = evosearch("show", file).stdout
    assert "0 that matter, of 2" in text
    assert "  def long(w, g, m):\n      x = square(g)" in text
    refused = evosearch("show", file, "--genome", code=2).stderr
    assert "expected a run's candidate with --genome" in refused


def test_lineage_goes_back_to_the_start(evosearch, as_json, small_run):
    best = Run.open(small_run).top(1)[0].id
    ancestors = as_json("lineage", small_run, best)
    by_id = {row["id"]: row for row in ancestors}
    for row in ancestors:
        assert set(row["parents"]) <= set(by_id)
    assert by_id[0]["mutation"] == "start"
    assert "start" in evosearch("lineage", small_run, best).stdout


def test_diff_shows_the_lines_that_differ(evosearch, as_json, small_run):
    text = evosearch("diff", "adam", "adamw").stdout
    added = [line[1:].strip() for line in text.splitlines() if line.startswith("+ ")]
    assert added == ["r = w * 0.01", "u = u + r"] * 2  # one rule for matrices and all else
    same = {"Hidden matrices": [], "Everything else": []}
    assert as_json("diff", small_run, 0, 0)["diff"] == same
    assert as_json("diff", "adamw", f"{small_run}:0")["diff"] == same
    assert evosearch("diff", "lion", "lion").stdout.count("The rules are the same.") == 2
    muon = as_json("diff", "muon", "lion")["diff"]
    assert "-    o = newton_schulz5(c)" in muon["Hidden matrices"]
    assert "-    v = lerp(v, g2, 0.05)" in muon["Everything else"]


def test_simplify_tells_the_story_and_writes_the_program(evosearch, as_json, tmp_path):
    file, output = tmp_path / "p.py", tmp_path / "q.py"
    file.write_text(
        "def p(w, g, m):\n    x = neg(g)\n    y = neg(x)\n    d = exp(y)\n"
        "    m = lerp(m, y, 0.1)\n    u = sign(m)\n    return u, m\n"
    )
    text = evosearch("simplify", file, "-o", output).stdout
    assert "Statements: 5 -> 2" in text
    simple = parse_rules(output.read_text())
    assert fingerprint(simple) == fingerprint(known("signum"))
    assert simple.size == 2
    assert as_json("simplify", file)["statements"] == [5, 2]
    evosearch("simplify", file, "-o", output, code=2)
    evosearch("simplify", file, "-o", output, "--force")


def test_simplify_measures_on_the_tasks_that_are_named_and_a_run_s_own(
    evosearch, tmp_path, small_run, monkeypatch
):
    tried = []
    monkeypatch.setattr(ablate, "approximate", lambda s, exam, _: tried.append(exam) or s)
    file = tmp_path / "p.py"
    file.write_text("def p(w, g):\n    u = sign(g)\n    return u\n")
    evosearch("simplify", file, "--measure")
    evosearch("simplify", file, "--measure", "--tasks", "zipf_bigram, digits_mlp", "--budget", 9)
    evosearch("simplify", shutil.copytree(small_run, tmp_path / "run"), 0, "--measure")
    assert [exam.budget for exam in tried] == [200_000, 9, 200_000]
    assert [list(map(str, exam.tasks)) for exam in tried] == [
        list(map(str, cheap_tasks())),
        ["zipf_bigram", "digits_mlp"],
        ["digits_mlp"],
    ]
    evosearch("simplify", file, "--tasks", "digits_mlp", code=2)
    evosearch("simplify", file, "--budget", 9, code=2)
    evosearch("simplify", file, "--measure", "--tasks", "digits", code=2)


def test_discoveries_have_names_and_a_known_one_keeps_its_own(evosearch, as_json):
    assert "newton_schulz5" in evosearch("show", "short_muon").stdout
    assert "class ShortMuon" in evosearch("export", "short_muon").stdout
    found = as_json("show", "discovered.muon")
    assert found["program"] != as_json("show", "muon")["program"]
    assert evosearch("diff", "short_muon", "muon").stdout


def test_json_of_commands_is_read_by_commands(evosearch, tmp_path):
    for words in (("export", "lion", "--format", "json"), ("show", "lion", "--json")):
        file = tmp_path / "some.json"
        file.write_text(evosearch(*words).stdout)
        assert "u = sign" in evosearch("show", file).stdout
        assert "class" in evosearch("export", file).stdout
    file.write_text("[]")
    evosearch("show", file, code=2)


def test_export_simplifies_in_one_step(evosearch, tmp_path):
    file = tmp_path / "p.program"
    file.write_text("def p(w, g):\n    x = neg(g)\n    u = neg(x)\n    return u\n")
    plain = evosearch("export", file, "--format", "text").stdout
    simple = evosearch("export", file, "--format", "text", "--simplified").stdout
    assert "neg" in plain
    assert "neg" not in simple


def test_deep_programs_are_typeset_and_numbers_have_no_stray_digits(evosearch, tmp_path):
    file = tmp_path / "p.program"
    steps = "".join(f"    x = {op}(x)\n" for op in ("tanh", "sin", "arctan") * 70)
    file.write_text(f"def p(w, g):\n    x = sin(g)\n{steps}    return x\n")
    assert "\\tan" in evosearch("export", file, "--format", "latex").stdout
    file.write_text("def p(w, g, m):\n    m = lerp(m, g, 0.99889)\n    return m, m\n")
    assert "00000" not in evosearch("show", file).stdout


def test_a_certificate_that_cannot_be_kept_costs_nothing_else(evosearch, small_run, tmp_path):
    run = shutil.copytree(small_run, tmp_path / "run")
    (run / "certificates").write_text("in the way")
    result = evosearch("simplify", run, 0)
    assert "Statements:" in result.stdout
    assert "The certificate is not kept" in result.stderr


def test_a_run_s_candidates_are_evaluated_in_the_run_s_unit(evosearch, as_json, tmp_path):
    config = preset("smoke", ["budget.evaluations=2", "elasticity.digits_mlp=0.5"])
    run = Run.create(tmp_path / "elastic", config).search().directory
    program = tmp_path / "start.py"
    program.write_text(Run.open(run).candidate(1).program_text)
    in_steps, in_loss = (as_json("evaluate", *what, *FAST) for what in ((run, 1), (program,)))
    assert "steps" in in_steps["unit"]
    assert "excess loss" in in_loss["unit"]
    scores = [found["contenders"][0]["score"] for found in (in_steps, in_loss)]
    assert scores[0] == pytest.approx(2 * scores[1])
    assert "AdamW's steps to the same loss" in evosearch("evaluate", run, 1, *FAST).stdout
    page = tmp_path / "page.html"
    evosearch("report", run, "-o", page)
    shown = html.unescape(page.read_text())
    assert "AdamW's steps to the same loss" in shown
    assert "times as many steps" in shown


def test_evaluate_compares_with_adamw_on_fresh_seeds(evosearch, as_json, lion_file, small_run):
    result = as_json("evaluate", lion_file, *FAST)
    (contender,) = result["contenders"]
    ((_, tuned),) = contender["tuned"].items()
    seeds = tuned["seeds"]
    assert len(set(seeds)) == 2
    history = Run.open(small_run).history
    assert not {m.seed for c in history.candidates.values() for m in c.measurements} & set(seeds)
    ((_, scores),) = contender["scores"].items()
    assert contender["score"] == pytest.approx(sum(scores) / 2)
    assert as_json("evaluate", lion_file, *FAST) == result
    assert f"{contender['score']:+.3f}" in evosearch("evaluate", lion_file, *FAST).stdout


def test_compare_ranks_and_pairs(evosearch, as_json, small_run):
    words = ("compare", "sgd", "adam", f"{small_run}:0", *FAST)
    rows = as_json(*words)["contenders"]
    assert {row["name"] for row in rows} == {"sgd", "adam", f"{small_run}:0"}
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert len({tuple(t["seeds"]) for row in rows for t in row["tuned"].values()}) == 1
    lines = evosearch(*words).stdout.splitlines()
    assert lines[2].startswith(rows[0]["name"])


def test_a_program_that_fails_is_reported_not_raised(evosearch, as_json, tmp_path):
    file = tmp_path / "zero.py"
    file.write_text("def zero(w, g):\n    u = g - g\n    return u\n")
    (row,) = as_json("evaluate", file, *FAST, code=1)["contenders"]
    assert row["score"] is None
    assert "its update is zero" in row["failure"]
    assert "its update is zero" in evosearch("evaluate", file, *FAST, code=1).stdout


def test_tasks_and_primitives_are_listed(evosearch, as_json):
    tasks = as_json("tasks")
    assert {"digits_mlp", "char_lm"} <= {row["name"] for row in tasks}
    assert {"search", "held-out"} <= {row["split"] for row in tasks}
    ops = as_json("primitives")
    assert len(ops) >= 45
    assert as_json("primitives", "lerp") == [row for row in ops if row["name"] == "lerp"]
    page = evosearch("primitives", "--markdown").stdout
    assert all(f"### `{row['name']}`" in page for row in ops)
    assert "did you mean `lerp`?" in evosearch("primitives", "lrp", code=2).stderr
    for listing in (evosearch("tasks").stdout, evosearch("primitives").stdout):
        assert all(line == line.rstrip() for line in listing.splitlines())


def test_an_exported_candidate_trains_a_model(evosearch, as_json, small_run, tmp_path):
    file = tmp_path / "found.py"
    evosearch("export", small_run, "-o", file)
    best = Run.open(small_run).top(1)[0]
    scope = {}
    exec(compile(file.read_text(), file, "exec"), scope)
    assert str(best.id) in scope["__doc__"]
    assert as_json("export", small_run, "--name", "found")["text"] == file.read_text()

    def losses(optimizer):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
        x = torch.randn(64, 4)
        y = x.sum(dim=1, keepdim=True)
        steps, values = optimizer(model.parameters(), lr=best.rates[0] / 10), []
        for _ in range(50):
            loss = (model(x) - y).square().mean()
            steps.zero_grad()
            loss.backward()
            steps.step()
            values.append(loss.item())
        return values

    found = losses(scope["Found"])
    assert found[-1] < 0.5 * found[0]
    # Not to the last bit: a CPU's products round with the alignment of their operands.
    assert losses(best.to_optimizer()) == pytest.approx(found, rel=1e-4)


def test_an_export_is_not_written_over(evosearch, tmp_path):
    file = tmp_path / "lion.py"
    evosearch("export", "lion", "-o", file)
    text = file.read_text()
    refused = evosearch("export", "muon", "-o", file, code=2)
    assert "--force" in refused.stderr
    assert file.read_text() == text
    assert evosearch("export", "lion").stdout == text
    assert "unknown format `onnx`" in evosearch("export", "lion", "--format", "onnx", code=2).stderr
    assert "cannot name a class" in evosearch("export", "lion", "--name", "2+2", code=2).stderr
