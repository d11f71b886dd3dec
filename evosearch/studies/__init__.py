"""Claims and the measurements behind them: comparisons, boards, promotion, ablation."""
