"""What exported optimizers reach with their default learning rates, beside tuned ones.

Each file trains a small convolutional net, a vision transformer and a language model of a million
parameters from scratch, with its defaults and with all its rates times 0.03 to 30, on a linear
schedule to zero. Reported is the decrease of the training loss with the defaults, as a share of the
decrease that the best of these rates gives; 0.9 and more is what a default has to reach.

    python benchmarks/optimizer_defaults.py
    python benchmarks/optimizer_defaults.py short_muon lion --steps 200
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

ROOT = Path(__file__).parents[1]
FACTORS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)

Batch = Callable[[torch.Generator], tuple[Tensor, Tensor]]


def digits(batch: int) -> Batch:
    """Return a sampler of handwritten digits, enlarged to 16 x 16."""
    data = load_digits()
    images = torch.tensor(data.images / 16, dtype=torch.float32)[:, None]
    images = functional.interpolate(images, scale_factor=2)
    labels = torch.tensor(data.target)

    def draw(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        chosen = torch.randint(len(labels), (batch,), generator=generator)
        return images[chosen], labels[chosen]

    return draw


def text(batch: int, length: int) -> Batch:
    """Return a sampler of this project's documentation, byte by byte."""
    pages = sorted((ROOT / "docs").glob("*.md"))
    data = torch.tensor(list(b"".join(page.read_bytes() for page in pages)))

    def draw(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        starts = torch.randint(len(data) - length - 1, (batch, 1), generator=generator)
        window = data[starts + torch.arange(length + 1)]
        return window[:, :-1], window[:, 1:]

    return draw


class Transformer(nn.Module):
    """A pre-norm transformer over tokens or patches."""

    def __init__(
        self, embed: nn.Module, length: int, width: int, layers: int, classes: int
    ) -> None:
        super().__init__()
        self.embed = embed
        self.positions = nn.Parameter(torch.zeros(length, width))
        make = nn.TransformerEncoderLayer(
            width, 4, 4 * width, dropout=0.0, batch_first=True, norm_first=True, activation="gelu"
        )
        self.blocks = nn.TransformerEncoder(make, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)
        for p in self.blocks.parameters():
            if p.ndim > 1:
                nn.init.normal_(p, std=0.05)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits: of the classes for patches, of the next token for tokens."""
        x = self.embed(x)
        if x.ndim == 4:
            x = x.flatten(2).mT
            mask = None
        else:
            mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        x = self.norm(self.blocks(x + self.positions, mask=mask, is_causal=mask is not None))
        return self.head(x.mean(1) if mask is None else x)


def conv_net() -> nn.Module:
    """Return a convolutional net with batch norm."""
    layers: list[nn.Module] = []
    for inner, outer in ((1, 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(inner, outer, 3, padding=1), nn.BatchNorm2d(outer), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(256, 10))


def problems() -> dict[str, tuple[Callable[[], nn.Module], Batch]]:
    """Return models and data by name."""
    return {
        "conv net": (conv_net, digits(64)),
        "ViT": (lambda: Transformer(nn.Conv2d(1, 64, 4, 4), 16, 64, 4, 10), digits(64)),
        "LM, 1 M": (lambda: Transformer(nn.Embedding(256, 144), 32, 144, 4, 256), text(8, 32)),
    }


def decrease(
    cls: type[torch.optim.Optimizer],
    make: Callable[[], nn.Module],
    draw: Batch,
    factor: float,
    steps: int,
) -> float:
    """Return by how much training makes the loss smaller; nothing, where it diverges."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    model = make()
    optimizer = cls(model.named_parameters())
    for group in optimizer.param_groups:
        group["lr"] *= factor
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: min(1.0, (t + 1) / (steps / 10)) * (1 - t / steps)
    )
    losses = []
    for _ in range(steps):
        x, y = draw(generator)
        loss = functional.cross_entropy(model(x).flatten(0, -2), y.flatten())
        if not loss.isfinite():
            return 0.0
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return max(0.0, losses[0] - sum(losses[-steps // 10 :]) / len(losses[-steps // 10 :]))


def classes(names: list[str]) -> dict[str, type[torch.optim.Optimizer]]:
    """Return the optimizers in `discovered/`, and torch's AdamW for comparison."""
    sys.path.insert(0, str(ROOT))
    stems = names or sorted(path.stem for path in (ROOT / "discovered").glob("*.json"))
    found = {}
    for stem in stems:
        module = importlib.import_module(f"discovered.{stem}")
        found[stem] = getattr(module, module.__all__[0])
    return {"torch AdamW": torch.optim.AdamW, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="modules of discovered/; all by default")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--factors", type=float, nargs="+", default=FACTORS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    chosen = problems()
    print(f"| optimizer | {' | '.join(chosen)} |\n|---|{'---|' * len(chosen)}")
    summary = {}
    for name, cls in classes(options.names).items():
        cells = []
        for title, (make, draw) in chosen.items():
            reached = {f: decrease(cls, make, draw, f, options.steps) for f in options.factors}
            best = max(reached, key=lambda f: reached[f])
            share = reached[1.0] / reached[best] if reached[best] else 0.0
            cells.append(f"{share:.2f} (best at {best:g})")
            summary[f"{name}, {title}"] = round(share, 3)
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
