"""Train with Lightning and an exported optimizer: `configure_optimizers` returns it as any other.

pip install lightning && python examples/train_lightning.py
"""

import lightning
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from discovered.lion import Lion


class Classifier(lightning.LightningModule):
    """A perceptron for handwritten digits."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        self.losses: list[float] = []

    def training_step(self, batch, _) -> torch.Tensor:
        """Return the loss of a batch."""
        pixels, labels = batch
        loss = nn.functional.cross_entropy(self.layers(pixels), labels)
        self.losses.append(loss.item())
        return loss

    def configure_optimizers(self) -> dict:
        """Return the optimizer, and a schedule that Lightning advances after every step."""
        optimizer = Lion(self.parameters(), lr=1e-3, weight_decay=0.1)
        steps = self.trainer.estimated_stepping_batches
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, int(steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


lightning.seed_everything(0)
pixels, labels = (torch.as_tensor(x) for x in load_digits(return_X_y=True))
data = DataLoader(TensorDataset(pixels.float() / 16, labels), batch_size=64, shuffle=True)
model = Classifier()
trainer = lightning.Trainer(
    max_epochs=5,
    accelerator="cpu",
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
)
trainer.fit(model, data)
first, last = model.losses[:10], model.losses[-10:]
print(f"loss {sum(first) / 10:.3f} in the first 10 steps, {sum(last) / 10:.3f} in the last")
