"""Estimators: learn from a matrix of features, and score rows."""
