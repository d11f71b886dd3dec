"""What a run is on disk: a journal that is the truth, and Parquet parts that follow from it."""
