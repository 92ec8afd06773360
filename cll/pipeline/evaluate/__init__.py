"""Stage evaluate: candidate, champion and baselines on the same holdout."""
