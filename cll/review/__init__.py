"""`cll diff`: what a change does to config, data, metrics and verdict."""
