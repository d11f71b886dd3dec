"""Tuned baselines' figures, one file a task; `evosearch.leaderboard` writes and reads them."""
