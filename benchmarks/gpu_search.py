"""Whole searches on one GPU, in at most eight minutes: candidates a second, with its name.

    python -m benchmarks.gpu_search [--minutes 8] [-o FILE] [--quick]

`evosearch search` runs as a command: the quick start and `discover-gpu` on one worker, without
Ray, then the quick start through Ray on two workers that share the GPU. Each gets an equal part of
the time and is then stopped. Ray that does not start is said in its place. The last line is one
JSON object, which is also written below `benchmarks/results`, named after the GPU.
Without one it says so and ends well. `--quick` tries the script on the CPU, with tiny tasks.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from evosearch.hardware import cores, processor
from evosearch.runs.run import Run

RESULTS = Path(__file__).parent / "results"
TINY = [
    *("--set", "budget.evaluations=4", "--set", "budget.pack=2", "--set", "elites.final=1"),
    *("--set", "baseline.weight_decay=[0.0]", "--set", "baseline.betas=[[0.9,0.99]]"),
    *("--set", "evaluation.seeds=1", "--set", "evaluation.ratios=[1.0]"),
]
STEPS = {
    "quickstart": ("digits_mlp.steps=4", "char_lm.steps=2"),
    "discover-gpu": ("digits_conv.steps=2", "char_lm.steps=2", "char_lm_wide.steps=1"),
}
"""What makes the tasks of a preset tiny."""


def searched(preset: str, workers: Sequence[str], minutes: float, quick: bool) -> dict[str, Any]:
    """Search for some minutes; return how fast it was, or why it was not."""
    small = [w for step in STEPS[preset] for w in ("--set", f"tasks.{step}")] if quick else []
    with tempfile.TemporaryDirectory() as folder:
        run, start = Path(folder) / "run", time.monotonic()
        command = [
            *(sys.executable, "-m", "evosearch", "search", "--preset", preset, "--quiet"),
            *("--run", str(run), "--time-limit", f"{minutes:.3f}", *workers),
            *([*TINY, *small] if quick else ("--set", "budget.pack=48")),
        ]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=60 * minutes + 120, check=False
            )
        except subprocess.TimeoutExpired:
            return {"failed": "it did not stop at its time limit"}
        if done.returncode:
            return {"failed": done.stderr.strip()[-500:]}
        history = Run.open(run).history
        count, seconds = len(history.candidates), time.monotonic() - start
        return {
            "candidates": count,
            "seconds": round(seconds, 1),
            "worker_seconds": round(history.worker_seconds, 1),
            "candidates_per_second": round(count / seconds, 3),
            "faults": len(history.faults),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description="Whole searches on one GPU.")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--quick", action="store_true", help="on the CPU, with tiny tasks")
    options = parser.parse_args()
    if not torch.cuda.is_available() and not options.quick:
        print("no GPU that torch can use; nothing was measured")
        return
    name = processor() if options.quick else torch.cuda.get_device_name()
    one = ["--workers", "1"] + ([] if options.quick else ["--gpus-per-worker", "1"])
    two = ["--workers", "2"] + ([] if options.quick else ["--gpus-per-worker", "0.5"])
    parts = {
        "quickstart, one worker without Ray": ("quickstart", one),
        "discover-gpu, one worker without Ray": ("discover-gpu", one),
        "quickstart, two workers of half a GPU on Ray": ("quickstart", two),
    }
    share = (options.minutes - 0.5) / len(parts) if not options.quick else options.minutes
    results: dict[str, Any] = {"hardware": name, "cores": cores(), "torch": torch.__version__}
    for title, (preset, workers) in parts.items():
        results[title] = searched(preset, workers, share, options.quick)
        print(f"{title}: {results[title]}")
    print(json.dumps(results))
    file = re.sub(r"\W+", "-", name).strip("-").lower()
    output = options.output or RESULTS / f"gpu_search-{file}.json"
    output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
