"""Metrics: figures of merit of scored rows."""
