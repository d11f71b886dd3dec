"""Train on two processes with DistributedDataParallel and an exported optimizer.

torchrun --nproc-per-node 2 examples/train_ddp.py
"""

import time

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from discovered.muon import Muon

dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()

torch.manual_seed(0)  # the same start, and the same order of data, in all processes
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
replica = DistributedDataParallel(model)
optimizer = Muon(replica.parameters(), lr=0.02, backup_adamw_lr=3e-3)

pixels, labels = (torch.as_tensor(x) for x in load_digits(return_X_y=True))
pixels = pixels.float() / 16
losses = []
for _ in range(3):
    for batch in torch.randperm(len(labels)).split(64):
        mine = batch[rank::world]
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(replica(pixels[mine]), labels[mine])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

flat = torch.cat([p.detach().flatten() for p in model.parameters()])
copies = [torch.empty_like(flat) for _ in range(world)]
dist.all_gather(copies, flat)
same = all(torch.equal(copy, flat) for copy in copies)
if rank == 0:
    first, last = sum(losses[:10]) / 10, sum(losses[-10:]) / 10
    print(f"loss {first:.3f} in the first 10 steps, {last:.3f} in the last; equal weights: {same}")
dist.destroy_process_group()
# Gloo's threads let go of Python's objects only after the main thread has their results, and DDP
# keeps these threads alive. One that does so when Python has ended aborts the process.
time.sleep(1)
