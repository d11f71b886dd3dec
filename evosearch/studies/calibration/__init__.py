"""Calibration: how well the scores of cheap tasks foretell what is known at scale."""
