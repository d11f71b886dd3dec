"""Every exported optimizer passes every check that torch.optim's optimizers are held to."""

import torch
from evolved_programs import RATE, evolved, rests
from exported_optimizers import optimizer_of
from optimizer_checks import Subject, named_checks
from torch.testing._internal.common_device_type import instantiate_device_type_tests
from torch.testing._internal.common_optimizers import optims
from torch.testing._internal.common_utils import TestCase, parametrize

from evosearch.library import KNOWN, known
from evosearch.program import RuleSet


def _subject(rules: RuleSet) -> Subject:
    """Return an exported optimizer with a handful of ways to call it."""
    plain = {"lr": RATE}
    extras = [{"weight_decay": 0.1}, {"maximize": True}, {"foreach": True}, {"foreach": False}]
    return Subject(
        optimizer_of(rules, lr=RATE, rest_lr=RATE),
        [plain, *({**plain, **extra} for extra in extras)],
        errors=[{"weight_decay": -0.5}, {"lr": float("nan")}],
        rests=rests(rules),
    )


CHECKS = named_checks()
SUBJECTS = [_subject(rules) for rules in (*map(known, KNOWN), *evolved())]


class TestConformance(TestCase):
    @optims(SUBJECTS)
    @parametrize("check", list(CHECKS))
    def test_passes(self, device: str, dtype: torch.dtype, optim_info: Subject, check: str) -> None:  # noqa: ARG002
        CHECKS[check](optim_info)


instantiate_device_type_tests(TestConformance, globals(), only_for="cpu")
