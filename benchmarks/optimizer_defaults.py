"""What exported optimizers reach with their default learning rates, beside tuned ones.

Each file of `discovered/`, and ten programs that random evolution bred, train a small convolutional
net, a vision transformer and a language model of a million parameters from scratch, with their
defaults and with all their rates times powers of 3, on a linear schedule to zero. Factors are
added until the best has a worse one on either side. Reported is the decrease of the training loss
with the defaults, as a share of the decrease that the best of these rates gives; 0.9 and more is
what a default has to reach. With several seeds their means count.

Each training is kept in a file when it ends, and not repeated as long as the formula and the
defaults stay the same; so an interrupted run goes on where it was, and a second seed is added to
the first. With `--write` the table in `docs/export.md` is replaced.

    python benchmarks/optimizer_defaults.py
    python benchmarks/optimizer_defaults.py short_muon lion --seeds 2 --write
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import lzma
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from evosearch.export import export

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "optimizer_defaults.json"
TEXT = ROOT / "proxy_tasks" / "data" / "python_stdlib.txt.xz"
PAGE = ROOT / "docs" / "export.md"
BEGIN, END = "<!-- defaults -->", "<!-- end of defaults -->"
BRED = 10
"""How many bred programs are tried: the first of those that the tests draw."""
WIDEST = 3
"""The largest power of 3 that a rate is multiplied with, and divided by."""

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
    """Return a sampler of Python's standard library, byte by byte."""
    data = torch.tensor(list(lzma.decompress(TEXT.read_bytes())))

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
        "conv net": (conv_net, digits(32)),
        "ViT": (lambda: Transformer(nn.Conv2d(1, 64, 4, 4), 16, 64, 4, 10), digits(32)),
        "LM, 1 M": (lambda: Transformer(nn.Embedding(256, 144), 32, 144, 4, 256), text(4, 32)),
    }


def decrease(
    cls: type[torch.optim.Optimizer], title: str, *, factor: float, steps: int, seed: int
) -> float:
    """Return by how much training makes the loss smaller; nothing, where it diverges."""
    make, draw = problems()[title]
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed + 1)
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


def climb(mean: Callable[[int], float]) -> list[int]:
    """Return the powers of 3 that were tried, up from 0 until neither neighbour is better."""
    tried: dict[int, float] = {}
    best = 0
    while True:
        for power in (best, best - 1, best + 1):
            if abs(power) <= WIDEST and power not in tried:
                tried[power] = mean(power)
        better = max(tried, key=lambda power: tried[power])
        if better == best:
            return sorted(tried)
        best = better


def sources(names: list[str]) -> dict[str, str | None]:
    """Return the files by name: those of `discovered/` and bred ones; None is torch's AdamW."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
    from evolved_programs import evolved

    found: dict[str, str | None] = {"torch AdamW": None}
    for path in sorted((ROOT / "discovered").glob("*.json")):
        found[path.stem] = path.with_suffix(".py").read_text(encoding="utf-8")
    found |= {rules.name: export(rules) for rules in evolved()[:BRED]}
    return {name: text for name, text in found.items() if not names or name in names}


def optimizer(source: str | None) -> type[torch.optim.Optimizer]:
    """Return the class that a file defines."""
    if source is None:
        return torch.optim.AdamW
    module = ModuleType("exported")
    exec(compile(source, "exported", "exec"), vars(module))
    return getattr(module, module.__all__[0])


class Results:
    """Decreases by file, problem, power of 3 and seed, kept in a JSON file.

    Args:
        path: the file, which need not exist.
        steps: of a training.
        seeds: how many trainings each rate gets.
    """

    def __init__(self, path: Path, steps: int, seeds: int) -> None:
        self._path, self._steps, self._seeds = path, steps, seeds
        self._known: dict[str, dict] = {}
        if path.exists():
            self._known = json.loads(path.read_text(encoding="utf-8"))

    def of(self, name: str, source: str | None, title: str) -> dict[int, float]:
        """Return the mean decrease at each factor that was tried, by the factor's power of 3."""
        cls = optimizer(source)
        digest = self._digest(cls, source)
        if self._known.get(name, {}).get("digest") != digest:
            self._known[name] = {"digest": digest, "steps": self._steps}
        found = self._known[name].setdefault(title, {})

        def mean(power: int) -> float:
            decreases = found.setdefault(str(power), [])
            while len(decreases) < self._seeds:
                how = {"factor": 3.0**power, "steps": self._steps, "seed": len(decreases)}
                decreases.append(decrease(cls, title, **how))
                self._path.write_text(json.dumps(self._known, indent=1) + "\n", encoding="utf-8")
            return sum(decreases[: self._seeds]) / self._seeds

        return {power: mean(power) for power in climb(mean)}

    def _digest(self, cls: type[torch.optim.Optimizer], source: str | None) -> str:
        """Return a digest of what a training depends on besides the problem and the seed."""
        defaults = str(inspect.signature(cls.__init__))
        formula = re.findall(r"^ {8}\S.*", str(cls.__doc__).partition("Args:")[0], re.MULTILINE)
        rule = formula if source else torch.__version__
        made = [inspect.getsource(x) for x in (problems, digits, text, Transformer, conv_net)]
        return hashlib.sha256(f"{rule}{defaults}{made}{self._steps}".encode()).hexdigest()[:16]


def row(name: str, reached: list[dict[int, float]]) -> str:
    """Return a line of the table."""
    cells = []
    for decreases in reached:
        best = max(decreases, key=lambda power: decreases[power])
        share = decreases[0] / decreases[best] if decreases[best] else 0.0
        cells.append(f"{share:.2f} (best at {3.0**best:.2g})")
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="files; all by default")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file that keeps them")
    parser.add_argument("--write", action="store_true", help="into docs/export.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    warnings.simplefilter("ignore")
    results = Results(options.results, options.steps, options.seeds)
    lines = [f"| file | {' | '.join(problems())} |", f"|---|{'---|' * len(problems())}"]
    print("\n".join(lines))
    for name, source in sources(options.names).items():
        lines.append(row(name, [results.of(name, source, title) for title in problems()]))
        print(lines[-1], flush=True)
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        pattern = re.compile(f"{BEGIN}.*{END}", re.DOTALL)
        table = "\n".join(lines)
        page = pattern.sub(lambda _: f"{BEGIN}\n\n{table}\n\n{END}", page)
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
