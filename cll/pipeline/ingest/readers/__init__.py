"""Readers of files: convert bytes to records, and list a fault for each bad record."""
