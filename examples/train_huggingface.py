"""Train a tiny transformer with Hugging Face's Trainer and an exported optimizer.

pip install transformers accelerate && python examples/train_huggingface.py
"""

import tempfile

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from discovered.muon import Muon
from discovered.split import split_parameters

STEPS = 40

torch.manual_seed(0)
sizes = {"vocab_size": 64, "n_positions": 16, "n_embd": 32, "n_layer": 2, "n_head": 2}
config = GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)
model = GPT2LMHeadModel(config)

start = torch.randint(64, (256, 1))
tokens = (start + torch.arange(16) * (1 + start % 3)) % 64  # each sequence counts up in steps
data = [{"input_ids": row, "labels": row} for row in tokens]

hidden, others = split_parameters(model)
optimizer = Muon(
    [
        {"params": hidden, "use_matrix_rule": True, "lr": 0.02},
        {"params": others, "use_matrix_rule": False, "lr": 3e-3},
    ]
)
schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, STEPS)

with tempfile.TemporaryDirectory() as folder:
    options = TrainingArguments(
        output_dir=folder,
        max_steps=STEPS,
        per_device_train_batch_size=32,
        logging_steps=10,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = Trainer(model, options, train_dataset=data, optimizers=(optimizer, schedule))
    trainer.train()
losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
print(f"loss {float(losses[0]):.3f} in the first 10 steps, {float(losses[-1]):.3f} in the last")
