"""Stage train: fit, calibrate and set the threshold of a candidate."""
