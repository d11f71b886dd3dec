"""The vocabulary: what a program may say.

`shape` are the symbolic sizes of values, `op` is what a row of the vocabulary holds, `table` is the
vocabulary itself, `kernels` are the torch bodies too long for an expression, `symbolic` reads a row
as sympy and `reference` prints the table. Importing the table loads neither torch nor sympy.
"""

import os

# A lane's bits must not depend on where in memory it lies, as MKL's products do on AMD processors
# unless it is asked for the same ones every time; that costs nothing. MKL reads it when first used.
os.environ.setdefault("MKL_CBWR", "AUTO")
