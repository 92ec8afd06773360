"""Sources: hand over signals, incidents and outcomes as records."""
