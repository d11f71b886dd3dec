"""Every exported optimizer passes every check that torch.optim's optimizers are held to."""

import importlib
import inspect
import json
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from evolved_programs import RATE, evolved, rests
from exported_optimizers import optimizer_of
from optimizer_checks import CHECKS
from optimizer_subject import Subject
from torch.optim import Optimizer
from torch.testing._internal.common_device_type import instantiate_device_type_tests
from torch.testing._internal.common_optimizers import optims
from torch.testing._internal.common_utils import TestCase

from evosearch.language.known import KNOWN, known
from evosearch.language.library import LIBRARY
from evosearch.language.parse import parse_rules
from evosearch.language.rule import RuleSet

DISCOVERED = Path(__file__).parents[3] / "discovered"


def _subject(cls: type[Optimizer], rules: RuleSet, rate: float = RATE) -> Subject:
    """Return an exported optimizer with a handful of ways to call it."""
    arguments = inspect.signature(cls.__init__).parameters
    plain = {name: rate for name in arguments if name == "lr" or name.endswith("_lr")}
    extras = [{"weight_decay": 0.1}, {"maximize": True}, {"foreach": True}, {"foreach": False}]
    return Subject(
        cls,
        [plain, *({**plain, **extra} for extra in extras)],
        errors=[{"weight_decay": -0.5}, {"lr": float("nan")}],
        rests=rests(rules),
        shrinks=not rules.matrix.keeps,
    )


_MORE = ("nadamw", "adafactor", "lamb", "kron", "normuon", "muon_h")
"""Of the known optimizers without a form, one for each kind of state and op; all take minutes."""
_OFTEN = [name for name in KNOWN if LIBRARY[name].form or name in _MORE]
_SELDOM = [name for name in KNOWN if name not in _OFTEN]


def _exported(programs: Iterable[RuleSet]) -> list[Subject]:
    """Return what programs are exported as, with rates that suit the checks."""
    rates = {"lars": 1.0, "prodigy": 1.0}  # whose steps are short by themselves
    subjects = []
    for rules in programs:
        rate = rates.get(rules.name, RATE)
        subjects.append(_subject(optimizer_of(rules, lr=rate, rest_lr=rate), rules, rate))
    return subjects


def _discovered() -> list[Subject]:
    """Return the modules of `discovered` as they are there."""
    subjects = []
    for path in sorted(DISCOVERED.glob("*.json")):
        module = importlib.import_module(f"discovered.{path.stem}")
        rules = parse_rules(json.loads(path.read_text(encoding="utf-8"))["export"]["program"])
        subjects.append(_subject(getattr(module, module.__all__[0]), rules))
    return subjects


EXPORTED = _exported([*map(known, _OFTEN), *evolved()])
OTHERS = _exported(map(known, _SELDOM))
DISCOVERIES = _discovered()
SUBJECTS = [*EXPORTED, *DISCOVERIES]

_NULL_SPACE = "the problem's gradients have rank 1, and rounding turns the rest of a basis around"
FAILED = {
    "ScheduleFreeAdamW": {
        "loss_falls_under_schedules": "it takes the rate to be linear in the step, none other"
    },
    "Prodigy": {
        "half_precision_trains": "it starts with steps of a millionth, which bfloat16 has not"
    },
    "OrthogonalSGDM": {"capturable_is_the_same": _NULL_SPACE},
    "SoapMuon": {"capturable_is_the_same": _NULL_SPACE},
    "SPlus": {"capturable_is_the_same": _NULL_SPACE},
}
"""What known optimizers do not pass, by class and check, and what it is about them."""


class TestConformance(TestCase):
    @optims(EXPORTED)
    def test_passes_every_check(self, device: str, dtype: torch.dtype, optim_info: Subject) -> None:
        del device, dtype  # the checks choose theirs
        self._passes(optim_info)

    @pytest.mark.slow
    @optims(OTHERS)
    def test_other_known_one_passes_every_check(
        self, device: str, dtype: torch.dtype, optim_info: Subject
    ) -> None:
        del device, dtype
        self._passes(optim_info)

    @optims(DISCOVERIES)
    def test_discovery_passes_every_check(
        self, device: str, dtype: torch.dtype, optim_info: Subject
    ) -> None:
        del device, dtype
        self._passes(optim_info)

    def _passes(self, optim_info: Subject) -> None:
        failed = {}
        for check in CHECKS:
            try:
                check(optim_info)
            except Exception as error:
                failed[check.__name__] = repr(error)
        allowed = FAILED.get(optim_info.optim_cls.__name__, {})
        assert failed.keys() == allowed.keys(), failed


instantiate_device_type_tests(TestConformance, globals(), only_for="cpu")
