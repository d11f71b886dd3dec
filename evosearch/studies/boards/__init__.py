"""Tuned baselines' figures, one file a task, by `evosearch.studies.baseline_board`."""
