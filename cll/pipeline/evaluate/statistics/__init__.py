"""Statistics of scored rows: metrics with intervals, curves, events, slices."""
