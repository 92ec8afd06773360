"""`cll diff`: compare config, data, metrics and verdict before and after a change."""
