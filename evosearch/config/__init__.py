"""What a search is told: presets, settings, and whether they can be carried out here."""
