"""Exported optimizers: ordinary `torch.optim.Optimizer` classes that import torch alone.

Beside each module lies its record, the program that it is made from and where that is from.
"""

from discovered.lion import Lion
from discovered.muon import Muon
from discovered.split import split_parameters

__all__ = ["Lion", "Muon", "split_parameters"]
