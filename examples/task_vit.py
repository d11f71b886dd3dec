"""A vision transformer on handwritten digits, as a task.

evosearch search --tasks examples/task_vit.py
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

import evosearch

pixels, labels = load_digits(return_X_y=True)
x = torch.tensor(pixels, dtype=torch.float32).view(-1, 8, 8) / 8 - 1


class ViT(nn.Module):
    def __init__(self, width=24):
        super().__init__()
        self.patches = nn.Unfold(2, stride=2)  # 16 patches of 2 x 2 pixels
        self.embed = nn.Linear(4, width)
        self.position = nn.Parameter(0.02 * torch.randn(16, width))
        options = {"dropout": 0.0, "batch_first": True, "norm_first": True}
        self.block = nn.TransformerEncoderLayer(width, 2, 2 * width, **options)
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        x = self.embed(self.patches(x[:, None]).mT) + self.position
        return self.head(self.block(x).mean(1))


data = (x, torch.tensor(labels))
TASKS = {"vit": evosearch.task(ViT, data, nn.functional.cross_entropy, steps=120, batch=32)}
