"""Splits of labelled rows into training rows and holdout."""
