"""Settings of the whole test run: one thread, and examples that are the same every time."""

import primitives  # noqa: F401, I001 - first: it sets what MKL reads when torch starts it

import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
settings.load_profile("fixed")
