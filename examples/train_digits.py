"""Train a network on handwritten digits with an exported optimizer, and with AdamW.

evosearch export lion -o lion.py && python examples/train_digits.py lion.py --lr 0.001
"""

import argparse
import runpy

import torch
from sklearn.datasets import load_digits
from torch import nn

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("file", help="an exported optimizer")
parser.add_argument("--lr", type=float, help="its learning rate, if not the file's own")
parser.add_argument("--epochs", type=int, default=20)
arguments = parser.parse_args()

module = runpy.run_path(arguments.file)
exported = module[module["__all__"][0]]
options = {} if arguments.lr is None else {"lr": arguments.lr}

pixels, labels = (torch.as_tensor(x) for x in load_digits(return_X_y=True))
pixels = pixels.float() / 16
train, test = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0)).split(1400)

for cls, settings in ((exported, options), (torch.optim.AdamW, {"lr": 0.003})):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)
    )
    optimizer = cls(model.parameters(), **settings)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, arguments.epochs)
    for _ in range(arguments.epochs):
        for batch in train[torch.randperm(len(train))].split(64):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(pixels[batch]), labels[batch])
            loss.backward()
            optimizer.step()
        schedule.step()
    right = (model(pixels[test]).argmax(1) == labels[test]).float().mean()
    print(f"{cls.__name__:12} test accuracy {right:.1%}, last training loss {loss:.4f}")
