"""Stage gate: decide whether the candidate may replace the champion."""
