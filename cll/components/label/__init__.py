"""Labels: turn incidents or outcomes into what is predicted."""
