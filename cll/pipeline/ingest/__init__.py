"""Ingest stage: write a source's records as sealed partitions, and count every record."""
