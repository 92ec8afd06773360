"""git and DVC, run as programs of their own."""
