"""Known optimizers as program text; read by `evosearch.library`, never imported."""
