"""Values that pass between steps: errors, times, tables, records, verdicts, protocols."""
