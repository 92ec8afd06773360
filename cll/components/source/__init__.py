"""Sources of records: signals, incidents and outcomes."""
