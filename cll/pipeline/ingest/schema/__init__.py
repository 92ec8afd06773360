"""Schema of the data: learnt once, and held against what comes later."""
