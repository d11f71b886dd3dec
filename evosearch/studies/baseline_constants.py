"""Which constants of AdamW a preset's scores refer to: tuned once, and then committed.

    python -m evosearch.studies.baseline_constants quickstart

prints the section of a preset or of a TOML file. A search then tunes the learning rates alone, and
its history does not depend on how far constants were tuned.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from evosearch.config.schema import PRESETS, Config, load, preset
from evosearch.errors import EvosearchError
from evosearch.studies.compare import Conditions, tune_all
from evosearch.training.tuner import Descent, Tuned
from evosearch.workers.executor import Executor
from evosearch.workers.start import start_workers

__all__ = ["section", "tune_baselines"]

_COMMAND = "python -m evosearch.studies.baseline_constants"
_SEEDS = 8
"""Paired seeds a task to tune on."""


def tune_baselines(
    config: Config, executor: Executor, descent: Descent | None = None, seeds: int = _SEEDS
) -> dict[str, Tuned]:
    """Return AdamW as tuned on each task of a search, on seeds that no search uses."""
    # the purpose is part of its seeds: another word would choose other constants
    conditions = Conditions(seeds, purpose="references", descent=descent or Descent(128, fine=True))
    found = tune_all({}, config, executor, conditions)
    return {ref.name: found[str(ref)][""] for tier in config.tiers_of_tasks() for ref in tier}


def section(found: Mapping[str, Tuned]) -> str:
    """Return the constants as a section of a configuration, in TOML."""
    lines = [f"[baseline.constants]  # of AdamW, by `{_COMMAND}`"]
    for task, tuned in found.items():
        first, second, decay, warmup = tuned.attempt.constants
        values = [f"betas = [{first}, {second}]"]
        values += [f"weight_decay = {decay}"] if decay else []
        values += [f"warmup = {warmup:g}"] if warmup else []
        edges = f"  # not settled: {', '.join(tuned.edges)}" if tuned.edges else ""
        lines.append(f"{task} = {{ {', '.join(values)} }}{edges}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line of this module; return the exit code."""
    parser = argparse.ArgumentParser(prog=_COMMAND)
    parser.add_argument("preset", help=f"one of {', '.join(PRESETS)}, or a TOML file")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args(arguments)
    try:
        name = options.preset
        config = preset(name) if name in PRESETS else load(Path(name))
        with start_workers(options.workers, None, 0.0, config) as executor:
            print(section(tune_baselines(config, executor)))
    except EvosearchError as error:
        print(f"baseline_constants: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
