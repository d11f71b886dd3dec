"""A tiny GPT-2 of Hugging Face on Python's own source, as a task.

pip install transformers && evosearch search --tasks examples/task_gpt2.py
"""

import inspect
import statistics
import textwrap

import torch
from transformers import GPT2Config, GPT2LMHeadModel

import evosearch

text = "".join(map(inspect.getsource, (statistics, textwrap, inspect)))
tokens = torch.tensor([min(ord(c), 127) for c in text])
windows = tokens[: len(tokens) // 33 * 33].view(-1, 33)


def gpt2():
    sizes = {"vocab_size": 128, "n_positions": 32, "n_embd": 32, "n_layer": 1, "n_head": 2}
    others = {"bos_token_id": 0, "eos_token_id": 0, "use_cache": False}
    dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return GPT2LMHeadModel(GPT2Config(**sizes, **others, **dropout))


def loss(output, targets):
    return torch.nn.functional.cross_entropy(output.logits.flatten(0, 1), targets.flatten())


data = (windows[:, :-1], windows[:, 1:])
TASKS = {"gpt2": evosearch.task(gpt2, data, loss, steps=60, batch=8)}
