"""Stage gate: decide whether the candidate may take over."""
