from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import resource, sys
import torch
from evosearch.training.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def step():
    x = torch.ones(24, 1 << 17)
    y = torch.ones(12, 1 << 17)
    del x, y
for _ in range(5):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have no mallopt")
def test_buffers_are_reused_without_page_faults():
    def faults(mode: str) -> int:
        # glibc's initial threshold, set explicitly so that it does not adapt by itself
        environment = os.environ | {"MALLOC_TRIM_THRESHOLD_": str(128 << 10)}
        command = [sys.executable, "-c", PROGRAM, mode]
        root = Path(__file__).parents[3]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, env=environment, cwd=root
        )
        return int(done.stdout)

    assert 2 * faults("keep") < faults("return")
