"""Where the data of tasks come from, and how they are kept."""
