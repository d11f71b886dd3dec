"""Write handwritten digits as a folder in the binary format of CIFAR-10.

python examples/digits_as_cifar.py cifar-digits

A record is a label and 3 x 32 x 32 bytes, as https://www.cs.toronto.edu/~kriz/cifar.html has it.
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "cifar-digits")
images, labels = load_digits(return_X_y=True)
large = (images.reshape(-1, 1, 8, 8) * 15).astype(np.uint8).repeat(4, 2).repeat(4, 3).repeat(3, 1)
records = np.concatenate([labels[:, None].astype(np.uint8), large.reshape(len(large), -1)], 1)
folder.mkdir(parents=True, exist_ok=True)
records[:1400].tofile(folder / "data_batch_1.bin")
records[1400:].tofile(folder / "test_batch.bin")
print(f"wrote {len(records)} images to {folder}")
