"""Text, data, LaTeX and optax: other forms of the same program."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from evolved_programs import evolved
from exported_optimizers import SUBJECTS

from evosearch.errors import UsageError
from evosearch.export import export, export_json, export_latex, export_optax, export_text
from evosearch.export.jax_ops import OTHERWISE
from evosearch.language.known import known
from evosearch.language.liveness import strip_rules
from evosearch.language.parse import parse_rules
from evosearch.language.rule import RuleSet
from primitives.table import OPS

PROGRAMS = [*SUBJECTS, *evolved()]


@pytest.mark.parametrize("rules", PROGRAMS, ids=lambda rules: rules.name)
def test_text_reads_back(rules: RuleSet) -> None:
    assert parse_rules(export_text(rules)) == strip_rules(rules)
    assert parse_rules(export_text(rules, name="other")) == strip_rules(rules).renamed("other")


def test_json_describes_the_program() -> None:
    data = json.loads(export_json(known("muon"), name="mine"))
    assert data["name"] == "mine"
    assert parse_rules(data["program"]) == known("muon").renamed("mine")
    assert data["matrix"]["hyperparameters"] == {"momentum": 0.95, "ns_steps": 5}
    assert data["matrix"]["states"] == [{"name": "m", "shape": "full"}]
    assert data["matrix"]["statements"][0] == {
        "target": "m",
        "op": "lerp",
        "arguments": ["m", "g", 0.05],
    }
    assert not data["matrix"]["rank_free"]
    assert data["rest"] is None
    assert json.loads(export_json(known("adamw")))["matrix"]["weight_decay"] == 0.01


@pytest.mark.parametrize("writer", [export, export_optax, export_text, export_latex])
def test_files_say_at_the_top_that_they_may_be_pasted_anywhere(writer: Any) -> None:
    assert writer(known("muon")).splitlines()[0][2:] == "SPDX-License-Identifier: 0BSD"
    assert json.loads(export_json(known("muon")))["license"] == "0BSD"


@pytest.mark.parametrize("writer", [export_text, export_json, export_optax])
def test_names_are_checked(writer: Any) -> None:
    with pytest.raises(UsageError, match="cannot name a"):
        writer(known("lion"), name="no name")


def test_latex_has_states_with_the_number_of_their_step() -> None:
    lion = export_latex(known("lion"))
    assert r"m_t &= \beta_{2} m_{t-1} + g_t \left(1 - \beta_{2}\right) \\" in lion
    assert r"\operatorname{sign}" in lion
    assert r"\beta_{1} = 0.9, \beta_{2} = 0.99" in lion
    adamw = export_latex(known("adamw"))
    assert r"w_t &= w_{t-1} - \gamma \left(u_t + \lambda w_{t-1}\right) \\" in adamw
    assert r"\varepsilon = 10^{-8}" in adamw
    muon = export_latex(known("muon"))
    assert "% hidden matrices" in muon
    assert r"\operatorname{NS}_{5}" in muon
    assert r"\alpha = 0.99, \varepsilon = 10^{-8}" in export_latex(known("rmsprop"))


@pytest.mark.parametrize("rules", PROGRAMS, ids=lambda rules: rules.name)
def test_latex_is_balanced(rules: RuleSet) -> None:
    text = export_latex(rules)
    assert text.count("{") == text.count("}")
    assert len(re.findall(r"\\left\b", text)) == len(re.findall(r"\\right\b", text))
    assert text.count(r"\begin{align*}") == text.count(r"\end{align*}")
    assert "Symbol" not in text
    assert "zoo" not in text


def test_jax_forms_are_written_out_only_where_they_differ() -> None:
    for name, form in OTHERWISE.items():
        assert form != OPS[name].torch.replace("torch.", "jnp."), name
