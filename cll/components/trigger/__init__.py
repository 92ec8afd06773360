"""Triggers, which decide from new data, drift, decay or a schedule whether to train."""
