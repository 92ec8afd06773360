"""Models on disk: their files, card and calibration, and the entries of the release ledger."""
