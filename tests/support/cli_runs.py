"""What the runs of these tests have in common."""

SETTINGS = ("budget.evaluations=16",)
"""What a small run differs in from the preset `smoke`."""
