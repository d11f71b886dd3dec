"""Known optimizers as program text; read by `evosearch.language.known`, never imported."""
