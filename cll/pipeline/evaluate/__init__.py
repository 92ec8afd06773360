"""Stage evaluate: compute metrics of candidate, champion and baselines on the same holdout."""
