"""Metrics of scored rows."""
