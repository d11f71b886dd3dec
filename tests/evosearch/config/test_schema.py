from __future__ import annotations

import dataclasses
from copy import deepcopy
from pathlib import Path

import pytest
from pydantic import ValidationError

from evosearch.config.schema import PRESETS, Config, configure, load, preset
from evosearch.errors import ConfigError
from evosearch.mutation.space import Space
from evosearch.training.baseline import adamw
from primitives.table import OPS

MINIMAL = {"tiers": [{"tasks": ["digits_mlp"]}]}


def test_scores_of_steps_and_of_losses_are_not_mixed() -> None:
    tasks = 'tiers=[{"tasks": ["digits_mlp", "char_lm"]}]'
    with pytest.raises(ConfigError, match="`elasticity` has no figure for char_lm"):
        preset("smoke", [tasks, "elasticity.digits_mlp=0.5"])


def test_other_tasks_take_the_place_of_a_presets_own_and_of_all_that_is_said_of_them() -> None:
    config = preset("quickstart", tasks=["zipf_bigram", "char_lm"])
    assert config.task_names == ("zipf_bigram", "char_lm")
    assert config.tasks == {"char_lm": preset("quickstart").tasks["char_lm"]}
    assert not config.elasticity, "the unit of zipf_bigram is not known"
    alone = preset("quickstart", tasks=["char_lm"])
    assert alone.elasticity == {"char_lm": preset("quickstart").elasticity["char_lm"]}
    with pytest.raises(ConfigError, match="unknown task `least`"):
        preset("quickstart", tasks=["least"])
    with pytest.raises(ConfigError, match="`tiers"):
        preset("quickstart", tasks=[])


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_survive_a_manifest(name: str) -> None:
    config = preset(name)
    again = configure(config.model_dump(mode="json"), (), "a manifest")
    assert again == config
    assert config.task_names
    assert len(config.tiers_of_tasks()) == len(config.tiers)


@pytest.mark.parametrize(
    ("setting", "read", "value"),
    [
        ("seed=7", lambda c: c.seed, 7),
        ("budget.pack=8", lambda c: c.budget.pack, 8),
        (" budget.pack = 8", lambda c: c.budget.pack, 8),
        ("evaluation.ratios=[0.5, 2]", lambda c: c.evaluation.ratios, (0.5, 2.0)),
        ("start=lion", lambda c: c.start, "lion"),
        ("tiers.0.tasks.0=least_squares", lambda c: c.task_names[0], "least_squares"),
        ("tiers.0.tasks=[\"zipf_bigram\"]", lambda c: c.tiers[0].tasks, ("zipf_bigram",)),
        ("tasks.digits_mlp.steps=5", lambda c: c.tasks["digits_mlp"]["steps"], 5),
        ("space.ops=[\"sign\", \"lerp\"]", lambda c: c.space.space().ops, ("sign", "lerp")),
    ],
)  # fmt: skip
def test_settings_change_one_key(setting: str, read, value) -> None:
    assert read(preset("smoke", [setting])) == value


def test_later_settings_win() -> None:
    assert preset("smoke", ["seed=1", "seed=2"]).seed == 2


def test_a_configuration_is_frozen() -> None:
    config = preset("smoke")
    with pytest.raises(ValidationError):
        config.seed = 3  # type: ignore[misc]


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "search.toml"
    path.write_text('[[tiers]]\ntasks = ["digits_mlp"]\n[budget]\npack = 3\n', encoding="utf-8")
    assert load(path, ["seed=4"]) == Config(
        seed=4, tiers=MINIMAL["tiers"], budget={"pack": 3}  # type: ignore[arg-type]
    )  # fmt: skip


def test_the_space_is_the_configured_one() -> None:
    space = preset("smoke", ["space.max_states=3", 'space.edits=["move"]']).space.space()
    assert space == Space(max_states=3, edits=("move",))
    assert space.ops == tuple(name for name, op in OPS.items() if op.drawn)


def test_task_overrides_reach_the_jobs() -> None:
    config = preset("smoke", ["tasks.digits_mlp.steps=5"])
    ((ref,),) = config.tiers_of_tasks()
    assert ref.name == "digits_mlp"
    assert ref.overrides == {"steps": 5}


def test_scores_count_in_steps_where_elasticities_are_given() -> None:
    config = preset("smoke", ["elasticity.digits_mlp=0.5"])
    ((ref,),) = config.tiers_of_tasks()
    assert ref.elasticity == config.task("digits_mlp").elasticity == 0.5
    assert str(ref) == "digits_mlp"
    assert "steps" in config.unit
    assert preset("smoke").task("digits_mlp").elasticity == 1.0
    assert "excess loss" in preset("smoke").unit


REFUSED = {
    # one unit for all scores
    "elasticity.char_lm=0.1": "unknown task of this search `char_lm`; known are digits_mlp",
    "elasticity.digits_mlp=0": "`elasticity.digits_mlp`",
    # not a setting
    "budget": "expected `key=value`",
    "=3": "expected `key=value`",
    "tiers.1.tasks=3": "`1` is not a section",
    "tiers.0.tasks.5=char_lm": "expected an index below 1, found `5`",
    # unknown keys
    "budgets.pack=3": "unknown key `budgets`",
    "budget.evaluation=3": "did you mean `budget.evaluations`?",
    "pack=3": "did you mean `budget.pack`?",
    "space.max_state=3": "did you mean `space.max_states`?",
    "a.b.c=3": "unknown key `a`",
    "elite.count=3": "unknown key `elite`; did you mean `elites`?",
    'tiers=[{"task": ["digits_mlp"]}]': "unknown key `tiers.0.task`",
    "population.sizes=3": "known are population.size, population.warmup",
    # unknown names
    "start=adamv": "unknown optimizer `adamv`; did you mean `adam`?",
    'space.ops=["sing"]': "`space.ops`: unknown op `sing`; did you mean `sin`?",
    'space.edits=["inser"]': "`space.edits`: unknown mutation `inser`; did you mean `insert`?",
    "space.scope=all": "expected 'both', 'matrix' or 'single', found 'all'",
    'tiers.0.tasks=["digit_mlp"]': "unknown task `digit_mlp`; did you mean `digits_mlp`?",
    "tasks.char_lm.steps=3": "unknown task of this search `char_lm`; known are digits_mlp",
    "tasks.digits_mlp.stepz=3": "has no field 'stepz'; did you mean 'steps'?",
    # wrong kinds
    "seed=x": "`seed`: expected a whole number, found 'x'",
    "seed=1.5": "`seed`: expected a whole number, found 1.5",
    "budget=3": "`budget`: expected a section, found 3",
    "tiers.0.tasks=digits_mlp": "`tiers.0.tasks`: expected a list, found 'digits_mlp'",
    "baseline.betas=[[0.9]]": "`baseline.betas.0.1` is missing",
    # out of range
    "budget.pack=0": "`budget.pack`: expected greater than or equal to 1, found 0",
    "elites.every=1": "`elites.every`",
    "population.crossover=1.5": "`population.crossover`",
    "evaluation.rates=2": "`evaluation.rates`",
    "evaluation.ratios=[]": "`evaluation.ratios`",
    "evaluation.ratios=[0]": "`evaluation.ratios.0`",
    "evaluation.ratios=[1, 0.5]": "`evaluation.ratios`: expected increasing numbers",
    "baseline.betas=[[1.0, 0.9]]": "`baseline.betas.0.0`: expected less than 1",
    "baseline.betas=[]": "`baseline.betas`",
    "baseline.weight_decay=[-1]": "`baseline.weight_decay.0`",
    "hurdle.initial=NaN": "`hurdle.initial`: expected a finite number",
    "budget.seconds_per_pack=Infinity": "`budget.seconds_per_pack`",
    "tiers=[]": "`tiers`",
    'tiers.0.tasks=["digits_mlp", "digits_mlp"]': "task `digits_mlp` is listed 2 times",
    "tasks.digits_mlp.steps=-1": "steps to be a whole number of at least 1, found -1",
    # a start that cannot be searched from
    "start=def f(w, g):": "not Python syntax",
    "start=def f(w, g):\n    return w\n": "never updates the weights by its gradient",
    "start=def f(w, g):\n    u = g - g\n    return u\n": "never updates the weights",
    "space.max_statements=3": "no edit of `start` stays within `space`",
}


@pytest.mark.parametrize("setting", REFUSED)
def test_refusals_name_the_key_and_what_to_do(setting: str) -> None:
    with pytest.raises(ConfigError) as caught:
        preset("smoke", [setting])
    message = str(caught.value)
    assert REFUSED[setting] in message
    assert "``" not in message
    assert "Value error" not in message


def test_a_start_outside_the_scope_is_refused() -> None:
    with pytest.raises(ConfigError, match="no edit of `start` stays within `space`"):
        preset("smoke", ["start=muon", "space.scope=single"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read a configuration from"),
        ("seed = ", "cannot read a configuration from"),
        ("\udcff", "cannot read a configuration from"),
        ("seed = 3", "`tiers` is missing"),
    ],
)
def test_files_that_are_no_configuration(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "search.toml"
    if text is not None:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_unknown_presets() -> None:
    with pytest.raises(ConfigError, match="did you mean `quickstart`\\?"):
        preset("quikstart")


def test_every_limit_of_the_space_can_be_configured() -> None:
    fields = {field.name for field in dataclasses.fields(Space)}
    assert fields - {"elites"} == set(type(preset("smoke").space).model_fields)  # a search's own


def test_the_baseline_s_old_name_is_read() -> None:
    old = {"tiers": [{"tasks": ["digits_mlp"]}], "reference": {"weight_decay": [0.125]}}
    config = configure(old, ["baseline.betas=[[0.5,0.75]]"], "an old run")
    assert config.baseline.programs("digits_mlp") == (adamw((0.5, 0.75), 0.125),)
    assert "reference" not in config.model_dump()


def test_what_scores_foretell_is_said_of_these_scores_alone() -> None:
    data = {
        "tiers": [{"tasks": ["digits_mlp"]}],
        "calibration": {
            "decided": [60, 65],
            "hard": [11, 15],
            "spearman": 0.9,
            "interval": [0.7, 0.95],
        },
    }
    kept = configure(deepcopy(data), ["budget.evaluations=7", "seed=3"], "a test")
    assert "order 60 of 65 pairs" in kept.foresight
    assert Config.model_validate_json(kept.model_dump_json()).foresight == kept.foresight
    for setting in ("evaluation.rates=3", "tasks.digits_mlp.steps=5", "baseline.betas=[[0.9,0.9]]"):
        assert "not calibrated" in configure(deepcopy(data), [setting], "a test").foresight
    other = configure(deepcopy(data), [], "a test", ["zipf_bigram"])
    assert other.calibration is None
