"""Compiled kernels of window features, over rows sorted by entity and time."""
