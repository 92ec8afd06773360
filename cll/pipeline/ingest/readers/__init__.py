"""Readers of files: bytes into records, and a fault for each that is none."""
