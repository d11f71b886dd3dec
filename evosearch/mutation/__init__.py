"""How a program becomes another one: the space, the edits, their random numbers."""
