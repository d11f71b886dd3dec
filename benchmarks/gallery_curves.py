"""How the discovered optimizers train beside AdamW, Lion and Muon: the curves of the gallery.

    python -m benchmarks.gallery_curves [-o discovered/curves/gallery.json]

Each is trained on the tasks of the preset `quickstart` at its own best learning rates, on seeds
that no search used, with the constants that it was found with; Lion and Muon have their textbooks'
and AdamW's are tuned as a run's. What was trained already is kept, so it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import evosearch
from evosearch.evolution.loop import baseline_jobs
from evosearch.language.known import known
from evosearch.report.curves import train_curve
from evosearch.training.baseline import Baseline
from evosearch.workers.executor import LocalExecutor

PRESET: Final = "quickstart"
FOLDER: Final = Path("discovered")
DIGITS: Final = 5
"""Significant digits that are kept."""


def main() -> None:
    """Train what is not there yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=FOLDER / "curves" / "gallery.json")
    output: Path = parser.parse_args().output
    config = evosearch.preset(PRESET)
    kept: list[dict[str, Any]] = json.loads(output.read_text("utf-8")) if output.exists() else []
    done = {(curve["label"], curve["task"]) for curve in kept}
    executor = LocalExecutor()
    found = sorted(FOLDER.glob("*.json"))
    programs = {path.stem: json.loads(path.read_text("utf-8")) for path in found}
    for number, job in enumerate(baseline_jobs(config)):
        texts = {name: record["export"]["program"] for name, record in programs.items()}
        texts |= {"Lion": str(known("lion")), "Muon": str(known("muon"))}
        if ("AdamW", job.task.name) not in done:
            executor.submit(number, job)
            baseline, _ = executor.collect(number)
            assert isinstance(baseline, Baseline)
            texts["AdamW"] = baseline.program
        for label, text in texts.items():
            if (label, job.task.name) in done:
                continue
            print(f"{label} on {job.task}", flush=True)
            if (curve := train_curve(label, text, job.task, config)) is not None:
                kept.append(_short(asdict(curve)))
                lines = ",\n".join(json.dumps(row, allow_nan=False) for row in kept)
                output.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def _short(value: Any) -> Any:
    """Return JSON with numbers of so many digits."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, list | tuple):
        return [_short(item) for item in value]
    return {k: _short(v) for k, v in value.items()} if isinstance(value, dict) else value


if __name__ == "__main__":
    main()
