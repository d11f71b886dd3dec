"""A search on a Ray cluster of three nodes that loses a node, a worker and three times its driver.

    PYTHONPATH=.:tests/support python -m benchmarks.lost_nodes [--candidates 1000] [-o FILE]

The cluster is this machine's: three nodes of one core, each with processes of its own. It runs once
without tokens and once with one, each time where a local search has run before and a token of
Ray's lies around. The task is a class in a file, and its text another file, that no node has been
told of. The search must end with the history of an undisturbed one on a single worker. The last
line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray_heads import Head, descendants, ray_head

from evosearch.hardware import cores, processor
from evosearch.runs.run import Run

TASKS = """
from dataclasses import dataclass
from typing import ClassVar

from proxy_tasks.tasks.char_lm import CharLM


@dataclass(frozen=True)
class Poem(CharLM):
    family: ClassVar[str] = "poem"

    steps: int = 8
    batch: int = 4
    context: int = 8
    width: int = 8
    windows: int = 4


TASKS = {"poem": Poem()}
"""
CONFIG = """
tiers = [{tasks = ["poem"]}]
tasks.poem.path = "poem.txt"
evaluation = {seeds = 1, rates = 3, ratios = [1.0], extensions = 1}
baseline = {betas = [[0.9, 0.99]], weight_decay = [0.0]}
elites = {count = 2, every = 8, rounds = 2, final = 2}
"""
TOKEN = "a-token-for-the-three-nodes"


def evosearch(home: Path, *words: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start a command in a home directory of its own."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_AUTH")}
    environment |= {"HOME": str(home), "EVOSEARCH_TASKS": str(home / "poem_task.py")}
    environment["PYTHONPATH"] = os.pathsep.join(p or os.getcwd() for p in sys.path)
    return subprocess.Popen(
        [sys.executable, "-m", "evosearch", *words],
        cwd=home,
        env=environment | options.pop("more", {}),
        stdout=subprocess.DEVNULL,
        **options,
    )


def done(run: Path) -> int:
    """Return how many packs are in a run's journal."""
    return sum(part.read_bytes().count(b'"kind":"pack"') for part in run.glob("journal/*.jsonl"))


def disturbed(home: Path, head: Head, run: Path, packs: int) -> list[str]:
    """Search on a cluster, with losses; return what happened."""
    third = head.add(cpus=1)
    head.add(cpus=1)
    more = {} if head.token is None else {"RAY_AUTH_TOKEN": head.token}
    happened: list[str] = []
    cluster = ("--address", head.address, "--workers", "3", "--quiet")

    def kill_driver() -> None:
        process.send_signal(signal.SIGKILL)

    def kill_node() -> None:
        head.kill(third)

    def kill_worker() -> None:
        for pid in descendants(head.nodes[0].pid):
            if b"ray::_Worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
                return
        happened.append("no worker was found on the first node")

    plan: list[tuple[float, str, Callable[[], None]]] = [
        (0.1, "driver killed", kill_driver),
        (0.25, "node killed", kill_node),
        (0.4, "worker killed", kill_worker),
        (0.55, "driver killed", kill_driver),
        (0.75, "driver killed", kill_driver),
    ]
    process = evosearch(
        home, "search", "--config", "config.toml", "--run", str(run), *cluster, more=more
    )
    end = time.monotonic() + 3600
    while True:
        time.sleep(0.2)
        if time.monotonic() > end:
            process.kill()
            raise SystemExit("it takes longer than an hour")
        if plan and done(run) >= plan[0][0] * packs:
            _, what, action = plan.pop(0)
            action()
            happened.append(f"{what} at pack {done(run)}")
        if (code := process.poll()) is not None:
            if code == 0:
                return happened
            if code != -signal.SIGKILL:
                raise SystemExit(f"the search ended with {code} after {happened}")
            process = evosearch(home, "resume", str(run), *cluster, more=more)


def main() -> None:
    parser = argparse.ArgumentParser(description="Lost nodes, workers and drivers.")
    parser.add_argument("--candidates", type=int, default=1000)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    size = 4
    budget = f"budget = {{evaluations = {options.candidates}, pack = {size}, window = 8}}\n"
    results: dict[str, Any] = {"processor": processor(), "cores": cores()}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / ".ray").mkdir()
        (home / ".ray" / "auth_token").write_text("left-behind")
        (home / "poem_task.py").write_text(TASKS)
        (home / "poem.txt").write_text(
            "so much depends upon a red wheel barrow glazed with rain\n" * 2000
        )
        (home / "config.toml").write_text(budget + CONFIG)
        start = time.monotonic()
        words = ("search", "--config", "config.toml", "--quiet", "--run")
        assert evosearch(home, *words, str(home / "one"), "--workers", "1").wait() == 0
        wanted = Run.open(home / "one").digest()
        print(f"undisturbed, one worker: {time.monotonic() - start:.0f} s, history {wanted}")
        small = ("--max-evaluations", "8", "--workers", "2")
        assert evosearch(home, *words, str(home / "local"), *small).wait() == 0
        for token in (None, TOKEN):
            name = "with a token" if token else "without tokens"
            run = home / name.replace(" ", "-")
            start = time.monotonic()
            with ray_head(token) as head:
                happened = disturbed(home, head, run, options.candidates // size)
            found = Run.open(run)
            same = found.digest() == wanted
            print(f"{name}: {time.monotonic() - start:.0f} s, {happened}; same history: {same}")
            results[name] = {
                "candidates": len(found.history.candidates),
                "happened": happened,
                "faults": len(found.history.faults),
                "same_history": same,
                "seconds": round(time.monotonic() - start),
            }
    print(json.dumps(results | {"history": wanted}))
    if options.output:
        options.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    if not all(r["same_history"] for r in results.values() if isinstance(r, dict)):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
