"""Parts of models whose parameters are stacked, one for each lane."""
