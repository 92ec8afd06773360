"""Mirrors of the ledger in other registries; they never decide."""
