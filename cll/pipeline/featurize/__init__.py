"""Stage featurize: compute features from signals, one partition at a time."""
