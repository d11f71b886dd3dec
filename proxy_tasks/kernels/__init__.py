"""Compiled arithmetic of lanes: products and rows by LLVM, and torch where it cannot be had."""
