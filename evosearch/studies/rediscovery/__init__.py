"""Does the search find what is known? A target, a criterion fixed before, and controls."""
