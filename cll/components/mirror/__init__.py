"""Mirrors, which copy the ledger's releases to other registries."""
