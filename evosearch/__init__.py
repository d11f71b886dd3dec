"""An open, distributed evolutionary search for optimizers."""
