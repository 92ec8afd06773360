"""The one form of a model on disk, its card, its calibration, and the ledger's entries."""
