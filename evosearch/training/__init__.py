"""Training with candidates: lanes of small models side by side, and the scores they end with."""
