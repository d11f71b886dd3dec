"""Optimizers that searches found, each in a file of its own that imports torch alone."""
