"""Stage featurize: signals into features, a partition at a time."""
