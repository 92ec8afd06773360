"""Estimators: fit a model on a matrix of features, and score rows with it."""
