"""Which of PyTorch's demands on an optimizer are met: by every exported one, and by references.

The checks are those of `tests/evosearch/export/optimizer_checks.py`. With `--write` the table in
`docs/export.md` is replaced; the last line is one JSON object with the number of checks passed.

    python benchmarks/optimizer_conformance.py [--write]
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "export.md"
BEGIN, END = "<!-- conformance -->", "<!-- end of conformance -->"


def subjects() -> dict[str, list[Any]]:
    """Return the optimizers of each column: exported ones in two, and four references."""
    tests = ROOT / "tests"
    sys.path[:0] = [str(ROOT), str(tests / "evosearch" / "export"), str(tests / "support")]
    import lion_pytorch
    import muon
    from optimizer_subject import Subject

    tests_of_exports = importlib.import_module("test_export_conformance")
    exported, others = tests_of_exports.SUBJECTS, tests_of_exports.OTHERS
    adamw = [{"lr": 0.01}, {"lr": 0.01, "weight_decay": 0.1}, {"lr": 0.01, "maximize": True}]
    momentum, betas = [{"momentum": -0.5}], [{"betas": (1.5, 0.9)}]
    plain = [{"lr": 0.01}, {"lr": 0.01, "weight_decay": 0.1}]
    return {
        f"exported ({len(exported)})": exported,
        f"other known ({len(others)})": others,
        "torch.optim.AdamW": [Subject(torch.optim.AdamW, adamw, errors=betas)],
        "lion-pytorch": [Subject(lion_pytorch.Lion, plain, errors=betas)],
        "torch.optim.Muon": [Subject(torch.optim.Muon, plain, errors=momentum, matrices_only=True)],
        "muon-optimizer": [
            Subject(muon.SingleDeviceMuon, plain, errors=momentum, matrices_only=True)
        ],
    }


def passed(check: Callable[[Any], None], group: Sequence[Any]) -> int:
    """Return how many optimizers pass a check."""
    count = 0
    for subject in group:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                check(subject)
        except Exception:  # whatever goes wrong, the check is not passed
            continue
        count += 1
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="into docs/export.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    columns = subjects()
    from optimizer_checks import CHECKS

    lines = [f"| check | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    totals = dict.fromkeys(columns, 0)
    for check in CHECKS:
        cells = []
        for name, group in columns.items():
            count = passed(check, group)
            totals[name] += count == len(group)
            some = f"{count} of {len(group)}" if len(group) > 1 else "no"
            cells.append("yes" if count == len(group) else some)
        what = (check.__doc__ or "").strip().rstrip(".").replace("|", "\\|")
        lines.append(f"| {what} | {' | '.join(cells)} |")
    lines.append(f"| **passed, of {len(CHECKS)}** | {' | '.join(map(str, totals.values()))} |")
    table = "\n".join(lines)
    print(table)
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        pattern = re.compile(f"{BEGIN}.*{END}", re.DOTALL)
        page = pattern.sub(lambda _: f"{BEGIN}\n\n{table}\n\n{END}", page)
        PAGE.write_text(page, encoding="utf-8")
    print(json.dumps({"checks": len(CHECKS), **totals}))


if __name__ == "__main__":
    main()
