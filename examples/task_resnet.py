"""A small ResNet on CIFAR-10's binary files, or on what digits_as_cifar.py writes, as a task.

evosearch search --tasks examples/task_resnet.py
"""

from pathlib import Path

import numpy as np
from torch import nn

import evosearch

files = sorted(Path("cifar-digits").glob("*.bin"))
rows = np.concatenate([np.fromfile(file, np.uint8) for file in files]).reshape(-1, 3073)
x, y = rows[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / 128 - 1, rows[:, 0].astype(int)


class Block(nn.Sequential):
    def forward(self, x):
        return (x + super().forward(x)).relu()


def resnet(w=12):
    stem = nn.AvgPool2d(2), nn.Conv2d(3, w, 3, stride=2), nn.GroupNorm(3, w), nn.ReLU()
    first, second = (nn.Conv2d(w, w, 3, padding=1) for _ in range(2))
    block = Block(first, nn.BatchNorm2d(w), nn.ReLU(), second)
    return nn.Sequential(*stem, block, nn.AvgPool2d(7), nn.Flatten(), nn.Linear(w, 10))


TASKS = {"resnet": evosearch.task(resnet, (x, y), nn.functional.cross_entropy, batch=16, steps=60)}
