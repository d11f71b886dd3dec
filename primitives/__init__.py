"""The vocabulary: what a program may say.

`shape` are the symbolic sizes of values, `op` is what a row of the vocabulary holds, `table` is the
vocabulary itself, `kernels` are the torch bodies too long for an expression, `symbolic` reads a row
as sympy and `reference` prints the table. Importing the table loads neither torch nor sympy.
"""
