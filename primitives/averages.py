"""Rows: averages over time, and the step number."""

from __future__ import annotations

import numpy as np

from primitives.op import Constant, Cost, Law, Op, Signature
from primitives.row import elementwise

__all__ = ["FAMILIES"]

_ADAM = "https://arxiv.org/abs/1412.6980"
_SOAP = "https://arxiv.org/abs/2409.11321"

_AVERAGES: tuple[Op, ...] = (
    elementwise(
        "lerp",
        "({0} * (1 - {2})).add_({1}, alpha={2})",
        lambda x, y, a: x + a * (y - x),
        "x + a*(y - x)",
        "x + a (y - x): a step of an exponential moving average of decay 1 - a.",
        inplace="{0}.mul_(1 - {2}).add_({1}, alpha={2})",
        arity=2,
        flops=3,
        constants=(Constant.RATE,),
        probes=((0.1,), (0.75,), (1.1,)),
        laws={Law.LINEAR},
        reference="https://docs.pytorch.org/docs/stable/generated/torch.lerp.html",
    ),
    elementwise(
        "heavy_ball",
        "({0} * {2}).add_({1})",
        lambda m, g, decay: decay * m + g,
        "a*x + y",
        "beta m + g: a step of momentum that adds up rather than averages.",
        inplace="{0}.mul_({2}).add_({1})",
        arity=2,
        flops=2,
        constants=(Constant.DECAY,),
        probes=((0.9,), (0.5,)),
        laws={Law.LINEAR, Law.MONOTONE},
        reference="https://doi.org/10.1016/0041-5553(64)90137-5",
    ),
    elementwise(
        "debias",
        "{0} / (1 - {1} ** t)",
        lambda x, decay, t: x / (1.0 - decay**t),
        "x/(1 - a**t)",
        "x / (1 - beta^t): Adam's correction of an average of decay beta that started at 0.",
        inplace="{0}.div_(1 - {1} ** t)",
        limits=(0.0, 0.9999999999999999),
        constants=(Constant.DECAY,),
        probes=((0.9,), (0.999,)),
        laws={
            Law.LINEAR,
            Law.ODD,
            Law.HOMOGENEOUS,
            Law.ZERO_PRESERVING,
            Law.MONOTONE,
            Law.SIGN_KEEPING,
            Law.MULTIPLE,
        },
        reference=_ADAM,
    ),
    elementwise(
        "blend",
        "{0} + {2} * ({1} - {0})",
        lambda x, y, z: x + z * (y - x),
        "x + z*(y - x)",
        "x + z (y - x): lerp with a rate that is a tensor, such as one that changes with the step.",
        arity=3,
        broadcast=True,
        flops=3,
        drawn=False,
        reference="https://docs.pytorch.org/docs/stable/generated/torch.lerp.html",
    ),
    elementwise(
        "every",
        "every({0}, {1}, {2}, t)",
        lambda x, y, k, t: np.where((t - 1) % k == 0, x, y),
        "Piecewise((x, Eq(Mod(t - 1, a), 0)), (y, True))",
        "x on the first step and every k-th step after it, y on the others. What only x needs is "
        "computed on those steps alone.",
        arity=2,
        constants=(Constant.PERIOD,),
        probes=((3.0,), (1.0,)),
        laws={Law.LINEAR, Law.IDEMPOTENT, Law.MONOTONE},
        drawn=False,
        reference=_SOAP,
    ),
    Op(
        name="step",
        signature=Signature("->11"),
        torch="w.new_ones(*w.shape[:-2], 1, 1) * t",
        numpy=lambda t: np.full((1, 1), float(t)),
        sympy="t",
        doc="The number t of the step, from 1.",
        cost=Cost("1", "1"),
        laws=frozenset({Law.ELEMENTWISE, Law.RANK_FREE, Law.NONNEGATIVE, Law.POSITIVE}),
        reference=_ADAM,
    ),
)

FAMILIES: dict[str, tuple[Op, ...]] = {"Averages over time": _AVERAGES}
