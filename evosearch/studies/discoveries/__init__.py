"""Finds that are kept in `discovered/`: where they come from, and how they are written out."""
