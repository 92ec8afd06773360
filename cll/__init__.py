"""The continuous learning loop: experiments from config, releases from evidence."""

import os

# Idle OpenMP threads spin by default: beside another busy process, a fit of 2 s took over 60 s.
# libgomp reads this once, when the first library that uses it is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
