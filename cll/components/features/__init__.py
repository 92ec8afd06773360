"""Feature sets: turn signals, and a bounded lookback, into features."""
