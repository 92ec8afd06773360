"""Feature sets: compute features from signals and a bounded lookback."""
