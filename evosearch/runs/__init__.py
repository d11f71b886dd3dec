"""A run as a person sees it: its candidates, its manifest, how far it is."""
